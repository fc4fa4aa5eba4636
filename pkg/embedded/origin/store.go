package origin

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"eshop/pkg/catalog"
)

// The number of documents that exist at first.
const (
	Products = 1000
	Shops    = 50
)

// The kinds of the sample.
const (
	kindProduct = "product"
	kindShop    = "shop"
)

// maxStored bounds the bytes of all edits.
const maxStored = 64 << 20

// editCost is what an edited document costs beside its fields.
const editCost = 256

// edit is what was done to one document.
type edit struct {
	over     document  // fields set over the invented ones
	fresh    bool      // created by an edit: there are no invented ones
	gone     bool      // deleted
	modified time.Time // products: the last modifiedTime; it outlives a deletion
}

func (e *edit) size() int { return len(e.over.encode()) + editCost }

// store holds the documents: the invented ones are made when they are asked
// for, so only edits take room.
type store struct {
	now      func() time.Time
	pictures string // URL in front of a picture's name

	mu         sync.RWMutex
	edits      map[catalog.Key]*edit
	bytes      int
	generation uint64 // counts edits, for persist
}

// invented returns the document that exists at first.
func (s *store) invented(key catalog.Key) (document, bool) {
	switch {
	case key.Kind == kindProduct && key.ID >= 1 && key.ID <= Products:
		return product(key.ID, s.pictures), true
	case key.Kind == kindShop && key.ID >= 1 && key.ID <= Shops:
		return shop(key.ID), true
	}
	return nil, false
}

func (s *store) get(key catalog.Key) (document, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.locked(key)
}

func (s *store) locked(key catalog.Key) (document, bool) {
	e := s.edits[key]
	switch {
	case e == nil:
		return s.invented(key)
	case e.gone:
		return nil, false
	case e.fresh:
		return e.over, true
	}
	d, _ := s.invented(key)
	return d.merge(e.over), true
}

// list returns up to n documents of a kind from an id on.
func (s *store) list(kind string, from int64, n int) []document {
	s.mu.RLock()
	defer s.mu.RUnlock()
	last := int64(Products)
	if kind == kindShop {
		last = Shops
	}
	var ids []int64
	for id := from; id <= last && len(ids) < n+len(s.edits); id++ {
		ids = append(ids, id)
	}
	for k := range s.edits {
		if k.Kind == kind && k.ID > last && k.ID >= from {
			ids = append(ids, k.ID)
		}
	}
	slices.Sort(ids)
	var out []document
	for _, id := range ids {
		if d, ok := s.locked(catalog.Key{Kind: kind, ID: id}); ok && len(out) < n {
			out = append(out, d)
		}
	}
	return out
}

// errFull is returned when the edits take too much room.
var errFull = fmt.Errorf("the sample origin holds %d bytes of edits, which is all it may: delete some", maxStored)

// put sets fields of a document and creates it if need be. A nil forced means
// that modifiedTime is set from the clock, else it becomes *forced.
func (s *store) put(key catalog.Key, fields document, forced *time.Time) (d document, created bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, existed := s.locked(key)
	e := &edit{fresh: !existed}
	if prev := s.edits[key]; prev != nil {
		e.modified = prev.modified
		if existed {
			e.fresh, e.over = prev.fresh, prev.over
		}
	} else if existed && key.Kind == kindProduct {
		e.modified = modifiedOf(old)
	}
	over := slices.Clone(e.over)
	if e.fresh && !existed {
		over = document{{"id", nil}}
	}
	for _, f := range fields {
		over = over.with(f.name, f.value)
	}
	over = over.with("id", json.RawMessage(strconv.FormatInt(key.ID, 10)))
	if key.Kind == kindProduct {
		if forced != nil {
			e.modified = *forced
		} else {
			e.modified = nextModified(e.modified, s.now())
		}
		over = over.with("modifiedTime", text(e.modified.UTC().Format(time.DateTime)))
	}
	if e.fresh {
		over = document{}.merge(over) // nothing is under a null there
	}
	e.over = over
	if len(over) > maxFields {
		return nil, false, fmt.Errorf("a document has at most %d fields", maxFields)
	}
	if err := s.keep(key, e); err != nil {
		return nil, false, err
	}
	d, _ = s.locked(key)
	return d, !existed, nil
}

// remove deletes a document, false if there is none. Its modifiedTime is kept,
// so that one created in its place later is not older.
func (s *store) remove(key catalog.Key) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, existed := s.locked(key)
	if !existed {
		return false, nil
	}
	e := &edit{gone: true}
	if prev := s.edits[key]; prev != nil {
		e.modified = prev.modified
	} else if key.Kind == kindProduct {
		e.modified = modifiedOf(old)
	}
	return true, s.keep(key, e)
}

func (s *store) keep(key catalog.Key, e *edit) error {
	bytes := s.bytes + e.size()
	if prev := s.edits[key]; prev != nil {
		bytes -= prev.size()
	}
	if bytes > maxStored && bytes > s.bytes {
		return errFull
	}
	s.bytes = bytes
	s.edits[key] = e
	s.generation++
	return nil
}

// modifiedOf reads modifiedTime, the zero time if there is none.
func modifiedOf(d document) time.Time {
	value, _ := catalog.Unquote(string(d.get("modifiedTime")))
	t, err := time.ParseInLocation(time.DateTime, value, time.UTC)
	if err != nil {
		return time.Time{}
	}
	return t
}
