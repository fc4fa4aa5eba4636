package simulation

import (
	"fmt"
	"slices"

	"eshop/pkg/catalog"
)

// truth is one state that a document had at the origin.
type truth struct {
	state   catalog.State // Live or Absent
	version int64
	field   string
	body    string
}

// origin is the shop's own service. It keeps the whole past, for the checker.
type origin struct {
	w    *world
	keys []catalog.Key
	past [documents][]truth
	down bool
	shop *process // sends the messages; it never fails
	sent int      // messages that are still to be sent
}

// number tells the key's place.
func number(k catalog.Key) int { return int(k.ID) - 1 }

func (o *origin) now(k catalog.Key) truth { return o.past[number(k)][len(o.past[number(k)])-1] }

// last is the place of the present state among those the document had.
func (o *origin) last(k catalog.Key) int { return len(o.past[number(k)]) - 1 }

func (o *origin) create(k catalog.Key) {
	if o.shop == nil {
		o.shop = o.w.process("shop")
		o.shop.start()
	}
	o.keys = append(o.keys, k)
	o.set(k, catalog.Live, 1000)
}

// set makes a state of a document. The second one's documents have no version.
func (o *origin) set(k catalog.Key, state catalog.State, version int64) {
	t := truth{state: state}
	if state == catalog.Live {
		t.body = fmt.Sprintf(`{"id":%d,"n":%d`, k.ID, len(o.past[number(k)]))
		if k.ID != 2 {
			t.body += fmt.Sprintf(`,"modifiedTime":%d`, version)
		}
		t.body += "}"
		var err error
		if t.version, t.field, err = o.w.cat.Kind(k.Kind).VersionOf([]byte(t.body)); err != nil {
			panic(err)
		}
	}
	o.past[number(k)] = append(o.past[number(k)], t)
}

// highest is the highest version that the document ever had.
func (o *origin) highest(k catalog.Key) int64 {
	high := int64(1000)
	for _, t := range o.past[number(k)] {
		high = max(high, t.version)
	}
	return high
}

// change has the shop change a document and, in steps of its own, tell of it.
func (o *origin) change() {
	k := o.keys[o.w.choices.below(documents)]
	present := o.now(k)
	kind := o.w.choices.below(10)
	o.shop.spawn("change of "+k.String(), func(t *task) {
		t.step("the origin changes")
		ch := catalog.Change{Key: k}
		switch {
		case present.state == catalog.Absent || kind < 6:
			o.set(k, catalog.Live, o.highest(k)+1+int64(o.w.choices.below(3)))
			if o.w.choices.chance(2) {
				ch.Version = o.now(k).version
			}
		case kind < 8:
			o.set(k, catalog.Absent, 0)
			if o.w.choices.chance(2) {
				ch.Op = catalog.OpDelete
			}
			o.w.events.note("deletions")
		default:
			o.set(k, catalog.Live, o.highest(k)-1)
			ch.Op = catalog.OpForce
			o.w.events.note("forced back")
		}
		place := o.last(k)
		o.sent++
		if ch.Op == catalog.OpForce {
			o.w.check.forces[number(k)] = append(o.w.check.forces[number(k)], place)
		}
		t.say("%v is now number %d: %v %s", k, place, o.now(k).state, o.now(k).body)
		copies := 1
		if o.w.choices.chance(4) {
			copies++
			o.w.events.note("change messages sent twice")
		}
		value, err := o.w.cat.EncodeChange(ch)
		if err != nil {
			panic(err)
		}
		if ch.Op == catalog.OpUpdate && o.w.choices.chance(12) {
			o.w.changes[number(k)%partitions].add(record{value: []byte(`{"serviceId":"nobody"}`), at: o.w.now, place: -1})
			o.w.events.note("malformed change messages")
		}
		for range copies {
			t.wait("send the change message", func() bool { return !o.w.feed.down })
			o.w.changes[number(k)%partitions].add(record{key: k, value: value, at: o.w.now, place: place, force: ch.Op == catalog.OpForce})
			t.say("sent %s", value)
		}
		o.sent--
	})
}

// pull answers a process. ok is false when the origin fails.
func (o *origin) pull(k catalog.Key) (truth, bool) { return o.now(k), !o.down }

// place finds which state a body is of, -1 for none that ever was.
func (o *origin) place(k catalog.Key, doc catalog.Document) int {
	past := o.past[number(k)]
	if doc.State != catalog.Live {
		return slices.IndexFunc(past, func(t truth) bool { return t.state == catalog.Absent })
	}
	return slices.IndexFunc(past, func(t truth) bool {
		return t.body == string(doc.Body) && (doc.Stamp.Version == t.version || doc.Provisional)
	})
}
