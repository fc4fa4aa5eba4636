package coherence_test

import (
	"errors"
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/coherence"
	"eshop/pkg/rediscluster"
)

func stamp(epoch, version, token int64) catalog.Stamp {
	return catalog.Stamp{Epoch: epoch, Version: version, Token: token}
}

func copyOf(state catalog.State, s catalog.Stamp) catalog.Document {
	return catalog.Document{State: state, Stamp: s, Field: "version"}
}

// 1, 3: which of two copies a gateway keeps.
func TestAdmit(t *testing.T) {
	held := stamp(0, 5, 50)
	for _, c := range []struct {
		name string
		live bool
		same bool
		doc  catalog.Document
		want coherence.Admission
	}{
		{"the same again", true, true, copyOf(catalog.Live, held), coherence.Renew},
		{"the same stamp, another body", true, false, copyOf(catalog.Live, held), coherence.Replace},
		{"older", true, false, copyOf(catalog.Live, stamp(0, 4, 60)), coherence.Refuse},
		{"an older tombstone", true, false, copyOf(catalog.Tombstone, stamp(0, 4, 60)), coherence.Refuse},
		{"newer", true, false, copyOf(catalog.Live, stamp(0, 5, 51)), coherence.Replace},
		{"forced back", true, false, copyOf(catalog.Live, stamp(60, 1, 60)), coherence.Replace},
		{"a newer tombstone", true, false, copyOf(catalog.Tombstone, stamp(0, 5, 51)), coherence.Bury},
		{"none at all", true, false, copyOf(catalog.Absent, catalog.Stamp{}), coherence.Bury},
		{"older than one that is outdated: the floor's to refuse", false, false, copyOf(catalog.Live, stamp(0, 4, 60)), coherence.Replace},
	} {
		if got := coherence.Admit(c.live, held, c.same, c.doc); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// A copy that no store vouched for outranks nothing, and nothing outranks its better.
func TestOutranks(t *testing.T) {
	old := copyOf(catalog.Live, stamp(0, 5, 50))
	provisional := old
	provisional.Provisional = true
	for _, c := range []struct {
		old, doc catalog.Document
		want     bool
	}{
		{old, copyOf(catalog.Live, stamp(0, 4, 60)), true},
		{old, old, false},
		{old, copyOf(catalog.Live, stamp(0, 5, 51)), false},
		{provisional, copyOf(catalog.Live, stamp(0, 4, 60)), false},
	} {
		if got := coherence.Outranks(c.old, c.doc); got != c.want {
			t.Errorf("%v over %v: %v, want %v", c.old.Stamp, c.doc.Stamp, got, c.want)
		}
	}
}

// 8: what the bus vouches for, around the moment at which it has been silent for too long.
func TestBus(t *testing.T) {
	const max = 30 * time.Second
	watermark := time.Unix(1_700_000_000, 0)
	until := coherence.Until(watermark, max)
	b := coherence.Bus{Generation: 3, Until: until, Max: max}
	for _, c := range []struct {
		name                string
		now, verified       int64
		generation          uint64
		behind, vouches     bool
		takesWord, distrust bool
		lastGap             int64
	}{
		{"in time, however old the look", until, 1, 3, false, true, true, false, 0},
		{"in time, before a loss", until, until, 2, false, false, true, false, 0},
		{"in time, soon after a loss", until, until, 3, false, true, true, true, until - 1},
		{"in time, long after a loss", until, until, 3, false, true, true, false, until - int64(max)},
		{"silent, looked at just now", until + 1, until + 1, 3, true, true, false, true, 0},
		{"silent, looked at as long ago as may be", until + 1, until + 1 - int64(max), 3, true, true, false, true, 0},
		{"silent, looked at longer ago", until + 1, until - int64(max), 3, true, false, false, true, 0},
	} {
		if got := b.Behind(c.now); got != c.behind {
			t.Errorf("%s: behind %v", c.name, got)
		}
		if got := b.Vouches(c.now, c.generation, c.verified); got != c.vouches {
			t.Errorf("%s: vouches %v", c.name, got)
		}
		if got := b.TakesWord(c.now, true); got != c.takesWord || !b.TakesWord(c.now, false) {
			t.Errorf("%s: takes another's word %v", c.name, got)
		}
		if got := b.Distrusts(c.now, c.lastGap); got != c.distrust {
			t.Errorf("%s: distrusts replicas %v", c.name, got)
		}
	}
	unknown := coherence.Bus{Until: coherence.Until(time.Time{}, max), Max: max}
	if !unknown.Behind(1) {
		t.Error("a bus that was never heard vouches")
	}
}

// 1, 5: what pulls write.
func TestWrites(t *testing.T) {
	live, gone := copyOf(catalog.Live, stamp(0, 7, 70)), copyOf(catalog.Absent, stamp(0, 0, 70))
	min := stamp(0, 6, 60)
	if op, doc, ok := coherence.ForReader(catalog.Absent, catalog.Stamp{}, live); !ok || op != rediscluster.Put || doc.Stamp != live.Stamp {
		t.Errorf("a first fill: %v %v %v", op, doc.Stamp, ok)
	}
	if _, _, ok := coherence.ForReader(catalog.Absent, catalog.Stamp{}, gone); ok {
		t.Error("an unknown id is written to Redis")
	}
	if op, doc, ok := coherence.ForReader(catalog.Live, min, gone); !ok || op != rediscluster.Tombstone || doc.Stamp != stamp(0, 6, 70) {
		t.Errorf("a document that is gone: %v %v %v, want a tombstone that keeps the version", op, doc.Stamp, ok)
	}
	for _, c := range []struct {
		op   catalog.Op
		doc  catalog.Document
		want rediscluster.Op
		at   catalog.Stamp
	}{
		{catalog.OpUpdate, live, rediscluster.Put, live.Stamp},
		{catalog.OpForce, live, rediscluster.Force, live.Stamp},
		{catalog.OpDelete, gone, rediscluster.Tombstone, stamp(0, 6, 70)},
		{catalog.OpForce, gone, rediscluster.ForceTombstone, stamp(0, 6, 70)},
	} {
		if op, doc := coherence.ForChange(c.op, min, c.doc); op != c.want || doc.Stamp != c.at {
			t.Errorf("%v of %v: %v at %v, want %v at %v", c.op, c.doc.State, op, doc.Stamp, c.want, c.at)
		}
	}
	if doc := coherence.Stored(rediscluster.ForceTombstone, live, rediscluster.Outcome{Stored: min}); doc.State != catalog.Tombstone || doc.Stamp != min {
		t.Errorf("what Redis holds after a tombstone: %v at %v", doc.State, doc.Stamp)
	}
}

// What Redis does not hold is shown with the stamp it was asked for and no other,
// and not at all if it is older than that.
func TestProvisional(t *testing.T) {
	min := stamp(2, 6, 60)
	if doc, ok := coherence.Provisional(copyOf(catalog.Live, stamp(0, 7, 0)), min); !ok || !doc.Provisional || doc.Stamp != min {
		t.Errorf("a newer one: %+v, %v", doc, ok)
	}
	if _, ok := coherence.Provisional(copyOf(catalog.Live, stamp(0, 5, 0)), min); ok {
		t.Error("an origin that lags behind what was announced is shown")
	}
	if doc, ok := coherence.Provisional(copyOf(catalog.Absent, catalog.Stamp{}), min); !ok || doc.State != catalog.Tombstone {
		t.Errorf("an absence where something was announced: %v, %v; want a tombstone", doc.State, ok)
	}
	if doc, ok := coherence.Provisional(copyOf(catalog.Absent, catalog.Stamp{}), catalog.Stamp{}); !ok || doc.State != catalog.Absent {
		t.Errorf("an unknown id: %v, %v", doc.State, ok)
	}
}

// Who is told of a pull: whoever would see a change, and everybody when Redis had lost a write.
func TestTells(t *testing.T) {
	found := copyOf(catalog.Live, stamp(0, 5, 50))
	for _, c := range []struct {
		name      string
		out       rediscluster.Outcome
		announced catalog.Stamp
		want      bool
	}{
		{"a change", rediscluster.Outcome{Accepted: true, Changed: true}, catalog.Stamp{}, true},
		{"no change", rediscluster.Outcome{Accepted: true}, found.Stamp, false},
		{"no change, but Redis held less than was announced", rediscluster.Outcome{Accepted: true}, stamp(0, 6, 60), true},
		{"refused", rediscluster.Outcome{}, stamp(0, 6, 60), false},
	} {
		if got := coherence.Tells(c.out, found, c.announced); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// 1 and 4: a change is applied when Redis holds it, or something above it, not when it did; a forced one when
// an epoch has begun.
func TestRefused(t *testing.T) {
	out := rediscluster.Outcome{Stored: stamp(0, 5, 50)}
	for _, c := range []struct {
		op    rediscluster.Op
		found catalog.Document
		again bool
	}{
		{rediscluster.Put, copyOf(catalog.Live, stamp(0, 5, 50)), false},
		{rediscluster.Put, copyOf(catalog.Live, stamp(0, 6, 10)), false},
		{rediscluster.Put, copyOf(catalog.Live, stamp(0, 5, 49)), true},
		{rediscluster.Tombstone, catalog.Document{}, true},
		{rediscluster.Force, copyOf(catalog.Live, stamp(0, 5, 50)), true},
		{rediscluster.ForceTombstone, copyOf(catalog.Live, stamp(39, 5, 50)), true},
		{rediscluster.Force, copyOf(catalog.Live, stamp(50, 5, 50)), false},
	} {
		err := coherence.Refused(c.op, copyOf(catalog.Live, stamp(0, 4, 40)), out, c.found)
		if errors.Is(err, coherence.ErrAgain) != c.again {
			t.Errorf("op %v, found %v: %v, want again %v", c.op, c.found.Stamp, err, c.again)
		}
	}
}

// 4: when a change has been seen at the origin.
func TestShown(t *testing.T) {
	for _, c := range []struct {
		ch      catalog.Change
		state   catalog.State
		field   string
		version int64
		want    bool
	}{
		{catalog.Change{Op: catalog.OpUpdate, Version: 5}, catalog.Live, "version", 5, true},
		{catalog.Change{Op: catalog.OpUpdate, Version: 5}, catalog.Live, "version", 4, false},
		{catalog.Change{Op: catalog.OpUpdate, Version: 5}, catalog.Live, "", 0, true},
		{catalog.Change{Op: catalog.OpUpdate, Version: 5}, catalog.Absent, "", 0, true},
		{catalog.Change{Op: catalog.OpForce, Version: 5}, catalog.Live, "version", 4, true},
		{catalog.Change{Op: catalog.OpDelete}, catalog.Live, "version", 4, false},
		{catalog.Change{Op: catalog.OpDelete}, catalog.Absent, "", 0, true},
	} {
		if got := coherence.Shown(c.ch, c.state, c.field, c.version); got != c.want {
			t.Errorf("%+v shown %v at version %d: %v, want %v", c.ch, c.state, c.version, got, c.want)
		}
	}
}
