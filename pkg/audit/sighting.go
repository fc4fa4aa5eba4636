package audit

import (
	"context"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/lru"
	"eshop/pkg/ring"
)

// sighting is what was last seen of a document on its master.
type sighting struct {
	stamp  catalog.Stamp
	pulled time.Time
	at     time.Time // before the read
}

// before reports whether a document is an older copy than the one that was seen.
// One that was pulled later may have a lower stamp: Redis had dropped the
// document, and nothing was left to compare with.
func (s sighting) before(d catalog.Document) bool {
	return d.State != catalog.Absent && d.Stamp.Less(s.stamp) && d.Stamp.Token <= s.stamp.Token && !d.Pulled.After(s.pulled)
}

// memory bounds the documents whose sighting is kept. settle is how long before a
// sighting the topology may have changed for a loss to be explained by it: reads
// may have gone to the former master for some time. reload is how long a node may
// take to tell the slots.
const (
	memory = 4096
	settle = 30 * time.Second
	reload = time.Second
)

// sightings remembers what was seen on the masters.
type sightings struct {
	docs     *lru.Cache[catalog.Key, sighting]
	doubtful map[catalog.Key]time.Time // since the read that showed an older copy
}

func newSightings() (*sightings, error) {
	docs, err := lru.New(lru.Config[catalog.Key, sighting]{Bytes: memory * (lru.Overhead + 64),
		Hash: func(k catalog.Key) uint64 { return ring.Hash(k.Kind, k.ID) }, LeastRecent: true})
	if err != nil {
		return nil, err
	}
	return &sightings{docs: docs, doubtful: map[catalog.Key]time.Time{}}, nil
}

func (s *sightings) doubts(key catalog.Key) bool {
	_, is := s.doubtful[key]
	return is
}

// again is what to read once more: everything doubtful, and n documents drawn
// from the rest.
func (s *sightings) again(n int) (keys []catalog.Key) {
	for k := range s.doubtful {
		keys = append(keys, k)
	}
	s.docs.Sample(n, func(k catalog.Key, _ sighting) { keys = append(keys, k) })
	return keys
}

// look holds what the master had, at a read that began at a time, against what
// was seen there before. An older copy is lost when a change of the topology
// explains it, and a violation when none does although the slots were asked for
// since it was first met; until then it is doubtful.
func (s *sightings) look(key catalog.Key, d catalog.Document, began, changed, loaded time.Time) (seen sighting, lost, violation bool) {
	seen, known := s.docs.Get(key)
	if known && seen.before(d) {
		since, doubtful := s.doubtful[key]
		switch {
		case changed.After(seen.at.Add(-settle)):
			lost = true
		case !doubtful:
			s.doubtful[key] = began
			return seen, false, false
		case !loaded.After(since.Add(reload)):
			return seen, false, false
		default:
			violation = true
		}
	}
	delete(s.doubtful, key)
	if d.State != catalog.Absent {
		s.docs.Put(key, sighting{d.Stamp, d.Pulled, began}, 64, time.Time{})
	}
	return seen, lost, violation
}

// onMaster holds a document against what was seen on its master before.
func (a *Auditor) onMaster(ctx context.Context, key catalog.Key, d catalog.Document, began time.Time, r *repairs) {
	if r.left == 0 {
		return // the document will be met again
	}
	changed, loaded := a.deps.Redis.Topology()
	seen, lost, violation := a.seen.look(key, d, began, changed, loaded)
	if violation {
		a.violated("1")
		a.log.Error("Redis has gone back to an older copy of a document, and no failover explains it (invariant 1)", "kind", key.Kind, "id", key.ID,
			"found", d.Stamp, "expected", seen.stamp, "seen", seen.at)
	}
	if lost || violation {
		r.repair(ctx, key, d.Stamp, seen.stamp)
	}
}

// suspicion is a copy that was found below the floor, and how often in a row.
type suspicion struct {
	stamp  catalog.Stamp
	layer  string
	served func() bool
	looks  int
}

// looks make a suspicion a violation.
const looks = 3

// againstFloor suspects a copy that is served below the floor. The bus raises the
// floor a moment before it ends the copy, so one look proves nothing.
func (a *Auditor) againstFloor(c Copy) {
	if _, known := a.below[c.Key]; !known && len(a.below) < memory && c.Stamp.Less(a.deps.Floor.Of(c.Key)) && c.Served() {
		a.below[c.Key] = suspicion{stamp: c.Stamp, layer: c.Layer, served: c.Served}
	}
}

// floorLooks looks again at what is under suspicion.
func (a *Auditor) floorLooks() {
	for key, s := range a.below {
		floor := a.deps.Floor.Of(key)
		if !s.stamp.Less(floor) || !s.served() {
			delete(a.below, key)
			continue
		}
		if s.looks++; s.looks < looks {
			a.below[key] = s
			continue
		}
		delete(a.below, key)
		a.violated("3")
		a.log.Error("a copy below what the bus has announced was served (invariant 3)", "kind", key.Kind, "id", key.ID, "layer", s.layer,
			"copy", s.stamp, "announced", floor)
		a.deps.Heap.Forget(key)
	}
}
