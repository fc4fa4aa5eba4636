package coherence

import (
	"errors"
	"fmt"

	"eshop/pkg/catalog"
	"eshop/pkg/rediscluster"
)

// Base is the stamp of a pull but for the version it finds. known is the highest
// stamp the puller knows: Redis may have lost its epoch.
func Base(known catalog.Stamp, token int64) catalog.Stamp {
	return catalog.Stamp{Epoch: known.Epoch, Token: token}
}

// ForReader returns what a reader's pull writes; false if nothing. stored is
// what Redis had before the pull, min what the reader must not be shown less than.
func ForReader(stored catalog.State, min catalog.Stamp, doc catalog.Document) (rediscluster.Op, catalog.Document, bool) {
	if doc.State != catalog.Absent {
		return rediscluster.Put, doc, true
	}
	if stored == catalog.Absent && min.IsZero() {
		return 0, doc, false // nothing to replace: an unknown id costs Redis nothing
	}
	doc.Stamp.Version = min.Version
	return rediscluster.Tombstone, doc, true
}

// ForChange returns what the handler of a change message writes.
func ForChange(op catalog.Op, known catalog.Stamp, doc catalog.Document) (rediscluster.Op, catalog.Document) {
	live := doc.State == catalog.Live
	if !live {
		// Redis may have lost the version that is being deleted, and a tombstone
		// below what the fleet was told of would delete nothing.
		doc.Stamp.Version = known.Version
	}
	switch {
	case op == catalog.OpForce && live:
		return rediscluster.Force, doc
	case op == catalog.OpForce:
		return rediscluster.ForceTombstone, doc
	case live:
		return rediscluster.Put, doc
	}
	return rediscluster.Tombstone, doc
}

// Tells reports whether the fleet must hear of what a reader's pull wrote, of
// which found is what Redis held before and announced what the bus had told until
// then. It must when readers would notice, and when Redis had lost a write and got
// another one since: copies of the lost one may outrank what was announced of the
// other, and only a stamp above both ends them.
func Tells(out rediscluster.Outcome, found catalog.Document, announced catalog.Stamp) bool {
	return out.Changed || out.Accepted && found.State != catalog.Absent && found.Stamp.Less(announced)
}

// ErrAgain is wrapped by the errors of writes that were refused and whose purpose is
// not served by the copy that refused them: the writer has to come again, with a new
// token.
var ErrAgain = errors.New("the write has to be made again")

// Refused checks that a refused write of doc may be left at that. found is what was
// read after it. It may not when the copy that refused it was gone by then, because Redis
// failed over or had no room: nobody has written what the writer came for. Nor may a
// forced one that was refused by a copy of an epoch before its own, which Redis can have
// only after it lost what was to be overruled: copies of that may be anywhere, and only
// a new epoch ends them.
func Refused(op rediscluster.Op, doc catalog.Document, out rediscluster.Outcome, found catalog.Document) error {
	switch forced := op == rediscluster.Force || op == rediscluster.ForceTombstone; {
	case found.Stamp.Less(out.Stored):
		return fmt.Errorf("the copy %v that refused it is lost, Redis holds %v: %w", out.Stored, found.Stamp, ErrAgain)
	case forced && found.Stamp.Epoch < doc.Stamp.Token:
		return fmt.Errorf("it is forced with token %d and the copy %v that refused it is not: %w", doc.Stamp.Token, found.Stamp, ErrAgain)
	}
	return nil
}

// Stored is the document that Redis holds after an accepted write of doc.
func Stored(op rediscluster.Op, doc catalog.Document, out rediscluster.Outcome) catalog.Document {
	doc.Stamp, doc.State = out.Stored, catalog.Live
	if op == rediscluster.Tombstone || op == rediscluster.ForceTombstone {
		doc.State, doc.Body = catalog.Tombstone, nil
	}
	return doc
}

// Provisional is a pulled document that Redis does not hold, as it may be shown;
// false if the origin has not caught up with min.
//
// It carries the stamp min and no higher one. It may: the pull began after min
// was known, and min's message was sent after its change, so the pull saw that
// change or a later one; only an origin that shows a lower version than min has
// not caught up. And it must not carry more: a copy that nobody else can be held
// to outranks nothing that Redis holds when it is back.
func Provisional(doc catalog.Document, min catalog.Stamp) (catalog.Document, bool) {
	doc.Provisional = true
	if doc.State == catalog.Live && doc.Field != "" && doc.Stamp.Version < min.Version {
		return doc, false
	}
	if doc.State == catalog.Absent && !min.IsZero() {
		doc.State = catalog.Tombstone
	}
	doc.Stamp = min
	return doc, true
}

// Shown reports whether a pull shows what the message announced. An origin that
// answers from a lagging copy does not.
func Shown(ch catalog.Change, state catalog.State, field string, version int64) bool {
	if state != catalog.Live {
		return true
	}
	return ch.Op != catalog.OpDelete && (ch.Op != catalog.OpUpdate || field == "" || version >= ch.Version)
}
