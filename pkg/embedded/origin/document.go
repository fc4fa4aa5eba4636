package origin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxFields bounds a document's number of fields.
const maxFields = 200

// document is a JSON object whose fields keep their order.
type document []field

type field struct {
	name  string
	value json.RawMessage // compact
}

var errNotObject = errors.New("the body must be one JSON object")

// parse reads one JSON object. A field given twice has its last value.
func parse(body []byte) (document, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return nil, errNotObject
	}
	var d document
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("%w: %v", errNotObject, err)
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, fmt.Errorf("%w: %v", errNotObject, err)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, raw); err != nil {
			return nil, fmt.Errorf("%w: %v", errNotObject, err)
		}
		d = d.with(tok.(string), compact.Bytes())
		if len(d) > maxFields {
			return nil, fmt.Errorf("a document has at most %d fields", maxFields)
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("%w: %v", errNotObject, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: something follows it", errNotObject)
	}
	return d, nil
}

// get returns a field's JSON, nil if it is missing.
func (d document) get(name string) json.RawMessage {
	for _, f := range d {
		if f.name == name {
			return f.value
		}
	}
	return nil
}

// with returns d with a field set; it may change d.
func (d document) with(name string, value json.RawMessage) document {
	for i := range d {
		if d[i].name == name {
			d[i].value = value
			return d
		}
	}
	return append(d, field{name, value})
}

// merge returns a new document: d with the fields of over set, those that are
// null in over taken away.
func (d document) merge(over document) document {
	out := make(document, 0, len(d)+len(over))
	out = append(out, d...)
	for _, f := range over {
		out = out.with(f.name, f.value)
	}
	kept := out[:0]
	for _, f := range out {
		if string(f.value) != "null" {
			kept = append(kept, f)
		}
	}
	return kept
}

// encode returns the JSON object.
func (d document) encode() []byte {
	out := []byte{'{'}
	for i, f := range d {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, text(f.name)...)
		out = append(out, ':')
		out = append(out, f.value...)
	}
	return append(out, '}')
}

// text returns a JSON string; & and < stay readable in it.
func text(s string) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil { // a string always encodes
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
