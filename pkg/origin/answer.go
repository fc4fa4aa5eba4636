package origin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"eshop/pkg/catalog"
)

// Result is what the origin says of one document.
type Result struct {
	// Body is the document as the origin sent it, without white space around it.
	Body []byte
	// State is catalog.Live, or catalog.Absent for a 404.
	State catalog.State
	// Version and Field are those of catalog.Kind.VersionOf.
	Version int64
	Field   string
}

// ResultOrErr is the outcome for one key of PullMany.
type ResultOrErr struct {
	Result
	Err error
}

// live makes the Result of a body that was asked for as id. The body must be
// one JSON object; if it has the kind's id field, that must be id: an answer
// that was mixed up on its way must not be cached under the wrong key.
func live(kind *catalog.Kind, id int64, body []byte) (Result, error) {
	body = bytes.Trim(body, " \t\r\n")
	version, field, err := kind.VersionOf(body)
	if err != nil {
		return Result{}, fmt.Errorf("%w: %v", ErrBadAnswer, err)
	}
	if got, named := idOf(kind, body); named && got != id {
		return Result{}, fmt.Errorf("%w: the document has the id %d", ErrBadAnswer, got)
	}
	return Result{Body: body, State: catalog.Live, Version: version, Field: field}, nil
}

// idOf returns the id a document names, false if it names none.
func idOf(kind *catalog.Kind, body []byte) (int64, bool) {
	values, err := catalog.TopLevel(body, []string{kind.IDField})
	if err != nil {
		return 0, false
	}
	return catalog.RawID(values[0])
}

// split takes the answer of a batch apart: the documents by the ids they name.
// Elements that are no object, name no id, or name one that was not asked for
// are left out; so is an id that comes twice, since nothing tells which is
// right. What is left out is asked for alone.
func split(kind *catalog.Kind, asked []int64, body []byte) (map[int64]Result, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('[') {
		return nil, fmt.Errorf("%w: the batch is not a JSON array", ErrBadAnswer)
	}
	found := make(map[int64]Result, len(asked))
	twice := map[int64]bool{}
	for dec.More() {
		var raw json.RawMessage // its own copy: one document does not keep the whole batch in memory
		if err := dec.Decode(&raw); err != nil {
			return nil, fmt.Errorf("%w: the batch is not JSON: %v", ErrBadAnswer, err)
		}
		id, named := idOf(kind, raw)
		if !named || !slices.Contains(asked, id) {
			continue
		}
		if _, again := found[id]; again {
			twice[id] = true
			continue
		}
		if r, err := live(kind, id, raw); err == nil {
			found[id] = r
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("%w: the batch ends early: %v", ErrBadAnswer, err)
	}
	for id := range twice {
		delete(found, id)
	}
	return found, nil
}
