package coherence

import "eshop/pkg/catalog"

// Admission is what becomes of the copy that is held when another was read.
type Admission uint8

const (
	// Refuse the one that was read: it is older. Two loads may finish in any order.
	Refuse Admission = iota
	// Renew the one that is held: it is the same.
	Renew
	// Replace it; it may be served, marked, if the new one cannot be had.
	Replace
	// Bury it: there is no such document, or not any more.
	Bury
)

// Admit decides for a gateway that holds a copy with the stamp current and read
// doc. live says that the held one is the newest known, same that both have the
// same state and body. A copy that is known to be outdated has nothing to defend:
// the floor keeps out what is as old.
func Admit(live bool, current catalog.Stamp, same bool, doc catalog.Document) Admission {
	switch {
	case live && same && current == doc.Stamp:
		return Renew
	case live && doc.State != catalog.Absent && doc.Stamp.Less(current):
		return Refuse
	case doc.State == catalog.Live:
		return Replace
	}
	return Bury
}

// Outranks reports whether the heap of a cache process keeps old, which is
// usable, and not doc: a slow fill must not replace what a later one stored, but
// a copy that no store vouched for outranks nothing.
func Outranks(old, doc catalog.Document) bool {
	return !old.Provisional && doc.Stamp.Less(old.Stamp)
}

// Reaches reports whether doc is a copy, or a tombstone, that is not below min.
func Reaches(doc catalog.Document, min catalog.Stamp) bool {
	return doc.State != catalog.Absent && !doc.Stamp.Less(min)
}

// FloorStamp is what the floor has to admit for doc to be kept. An absence has
// no stamp: it is as good as the minimum it was asked with.
func FloorStamp(doc catalog.Document, asked catalog.Stamp) catalog.Stamp {
	if doc.State == catalog.Absent {
		return asked
	}
	return doc.Stamp
}
