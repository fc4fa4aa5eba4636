package audit

import (
	"time"

	"github.com/cespare/xxhash/v2"

	"eshop/pkg/catalog"
)

// Copy is a document in the heap that requests are answered with, unmarked.
type Copy struct {
	Key   catalog.Key
	Stamp catalog.Stamp
	// Sum is that of the document.
	Sum uint64
	// Layer is the tier that it was drawn from, as a label.
	Layer string
	// Verified is when Redis was last known to hold it.
	Verified time.Time
	// Served reports whether requests are still answered with it, unmarked.
	Served func() bool
}

// Sum identifies the content of a document: its state and body.
func Sum(doc catalog.Document) uint64 { return xxhash.Sum64(doc.Body) + uint64(doc.State) }

// verdict is what Redis says of a copy.
type verdict string

const (
	same    verdict = "same"    // Redis holds it, or the same content under a later stamp
	missing verdict = "missing" // Redis holds nothing
	stale   verdict = "stale"   // Redis holds a later document
	lost    verdict = "lost"    // Redis holds an earlier one
)

// judge compares a copy with what the master held after the copy was drawn.
func judge(c Copy, master catalog.Document) verdict {
	switch {
	case master.State == catalog.Absent:
		return missing
	case later(c.Key, master).Supersedes(c.Stamp):
		if Sum(master) == c.Sum {
			return same
		}
		return stale
	case master.Stamp.Less(c.Stamp):
		return lost
	case Sum(master) != c.Sum: // values of the replaced system have no token to tell them apart
		return stale
	}
	return same
}

// later is what the bus would say of a document.
func later(key catalog.Key, d catalog.Document) catalog.Invalidation {
	return catalog.Invalidation{Key: key, Stamp: d.Stamp, State: d.State.String()}
}
