package gateway

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"eshop/pkg/accesslog"
	"eshop/pkg/kafka"
)

// Counts against a model: products are hit, with and without pages, while the
// partitions are unknown, known, and change in number, partitions are stuck and
// records dropped. Whatever happens, hits = acknowledged + held + lost, and what
// is in the log is right.
func TestCountsModel(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 7))
			g, f := newLogRig(t, AccessLog{}, 0)
			l := g.access
			f.refuse = func(kafka.Record) string {
				if rnd.IntN(40) == 0 {
					return kafka.DropPartitionFull
				}
				return ""
			}
			pages := map[int64]*page{}
			hit := map[int64]int64{}
			now := time.UnixMilli(1_700_000_000_000)
			first := now
			for range 600 {
				switch n := rnd.IntN(100); {
				case n < 60:
					for range rnd.IntN(30) {
						id := 1 + int64(min(rnd.IntN(40), rnd.IntN(40)))
						switch rnd.IntN(3) {
						case 0:
							l.hits.miss(id)
						case 1:
							pages[id] = &page{key: pageKey{id: id}}
							fallthrough
						default:
							if pages[id] == nil {
								pages[id] = &page{key: pageKey{id: id}}
							}
							l.hits.page(pages[id])
						}
						hit[id]++
					}
				case n < 70:
					f.stuck[int32(rnd.IntN(5))] = rnd.IntN(2) == 0
				case n < 75:
					f.answer([]string{"", "", kafka.DropRejected}[rnd.IntN(3)])
				case n < 78:
					f.parts = 1 + rnd.IntN(5)
				}
				now = now.Add(time.Duration(rnd.IntN(60)) * time.Millisecond)
				if rnd.IntN(50) == 0 {
					now = now.Add(time.Duration(rnd.IntN(12)) * time.Second)
				}
				l.counts.flush(now, false)
				if got, want := l.books.held.Load()+l.books.gone.Load()+int64(counter(t, l.books.hits)), totalOf(hit); got != want {
					t.Fatalf("%d hits, the books have %d", want, got)
				}
			}
			f.parts = max(1, f.parts)
			f.answer("")
			clear(f.stuck)
			l.counts.flush(now, true)
			lost := losses(t, l.books)
			got := logged(t, f.log)
			if l.books.held.Load() != 0 || l.counts.entries != 0 || l.books.pending.Load() != 0 || l.books.bytes.Load() != 0 {
				t.Errorf("held at the end: %d hits, %d entries, %d records, %d bytes", l.books.held.Load(), l.counts.entries, l.books.pending.Load(), l.books.bytes.Load())
			}
			if totalOf(got)+l.books.gone.Load() != totalOf(hit) || int64(counter(t, l.books.hits)) != totalOf(got) {
				t.Errorf("%d hits: %d in the log, %v acknowledged, lost %v", totalOf(hit), totalOf(got), counter(t, l.books.hits), lost)
			}
			for id, n := range got {
				if n > hit[id] {
					t.Errorf("product %d: %d in the log, %d hits", id, n, hit[id])
				}
			}
			for _, reason := range slices.Collect(maps.Keys(lost)) {
				if !slices.Contains([]string{kafka.DropPartitionFull, kafka.DropRejected, lostOld}, reason) {
					t.Errorf("lost: %v", lost)
				}
			}
			checkRecords(t, f.log, first, now)
		})
	}
}

// checkRecords looks at what every counts record must be.
func checkRecords(t *testing.T, records []kafka.Record, first, last time.Time) {
	t.Helper()
	sequence := map[int32]uint64{}
	for _, r := range records {
		d := decoded(t, r)
		switch {
		case string(d.Gateway) != "gw-1" || d.Boot == 0:
			t.Errorf("a record of gateway %q, boot %d", d.Gateway, d.Boot)
		case d.Sequence <= sequence[r.Partition]:
			t.Errorf("partition %d: sequence %d follows %d", r.Partition, d.Sequence, sequence[r.Partition])
		case r.Time.UnixMilli() != d.Time || d.Time < first.UnixMilli() || d.Time > last.UnixMilli():
			t.Errorf("a record of %v with the time %d", r.Time, d.Time)
		case !slices.IsSortedFunc(d.Counts, func(a, b accesslog.Count) int { return int(a.ID - b.ID) }):
			t.Errorf("ids out of order: %v", d.Counts)
		}
		sequence[r.Partition] = d.Sequence
	}
}

// One record for each partition and flush, of all forms of a product together.
func TestCountsRecord(t *testing.T) {
	g, f := newLogRig(t, AccessLog{}, 3)
	for _, target := range []string{"/product/7", "/product/7", "/product/7.json", "/product?productId=7&shopId=3", "/product/8", "/product/9"} {
		g.get(t, target)
	}
	now := time.Now()
	g.access.counts.flush(now, false)
	g.access.counts.flush(now.Add(slotMillis*time.Millisecond), false) // its slice is over
	if got := logged(t, f.log); got[7] != 4 || got[8] != 1 || got[9] != 1 || len(got) != 3 {
		t.Errorf("logged %v", got)
	}
	seen := map[int32]bool{}
	for _, r := range f.log {
		d := decoded(t, r)
		if seen[r.Partition] || d.Time != now.UnixMilli() || r.Topic != "access-log" || d.Sequence != 1 {
			t.Errorf("partition %d again, or time %d, topic %s, sequence %d", r.Partition, d.Time, r.Topic, d.Sequence)
		}
		seen[r.Partition] = true
		for _, c := range d.Counts {
			if want := accesslog.Partition(c.ID, 3); want != r.Partition {
				t.Errorf("product %d is in partition %d, want %d", c.ID, r.Partition, want)
			}
		}
	}
	g.access.counts.flush(now.Add(time.Second), false)
	if n := len(f.log); n != len(seen) {
		t.Errorf("a flush of nothing made %d records", n-len(seen))
	}
}

// While the partitions are unknown, counts wait; what is older than any window
// is dropped, the rest is sent with the time it is of.
func TestCountsWaitForThePartitions(t *testing.T) {
	g, f := newLogRig(t, AccessLog{}, 0)
	start := time.UnixMilli(1_700_000_000_000)
	const seconds = 15
	for i := range seconds * 50 {
		g.access.hits.miss(int64(i%10 + 1))
		g.access.counts.flush(start.Add(time.Duration(i)*sweepEvery), false)
	}
	if n, most := len(g.access.counts.parts[0].waiting), heldMillis/slotMillis+1; n > most {
		t.Errorf("%d intervals wait, want at most %d", n, most)
	}
	f.parts = 4
	end := start.Add(seconds * time.Second)
	g.access.counts.flush(end, false)
	// Each partition has 16 records under way at a time; the sink answers at once.
	got, lost := totalOf(logged(t, f.log)), losses(t, g.access.books)
	if got+lost[lostOld] != seconds*50 || lost[lostOld] < (seconds-11)*50 || lost[lostOld] > (seconds-9)*50 {
		t.Errorf("%d logged, lost %v; want the last 10 s of %d s", got, lost, seconds)
	}
	for _, r := range f.log {
		if age := end.Sub(r.Time); age < 0 || age > 10*time.Second {
			t.Errorf("a record is %v old", age)
		}
	}
	checkRecords(t, f.log, start, end)
}

// PITFALL 24: a partition that takes nothing keeps its own counts back, in few
// records, and no other one's.
func TestPitfall24StuckPartition(t *testing.T) {
	g, f := newLogRig(t, AccessLog{}, 2)
	var ids [2]int64
	for id := int64(1); ids[0] == 0 || ids[1] == 0; id++ {
		ids[accesslog.Partition(id, 2)] = id
	}
	f.stuck[0] = true
	now := time.UnixMilli(1_700_000_000_000)
	for range 1000 { // 20 s
		g.access.hits.miss(ids[0])
		g.access.hits.miss(ids[1])
		now = now.Add(sweepEvery)
		g.access.counts.flush(now, false)
	}
	g.access.counts.flush(now.Add(slotMillis*time.Millisecond), false) // the last slice is over
	if got := logged(t, f.log); got[ids[1]] != 1000 || got[ids[0]] != 0 {
		t.Errorf("logged %v; want all of product %d and nothing of %d", got, ids[1], ids[0])
	}
	if n := len(f.unsettled); n != underway {
		t.Errorf("%d records of the stuck partition are with the producer, want %d", n, underway)
	}
	f.answer("")
	f.stuck[0] = false
	g.access.counts.flush(now.Add(slotMillis*time.Millisecond), false)
	got, lost := logged(t, f.log), losses(t, g.access.books)
	if got[ids[0]]+lost[lostOld] != 1000 || got[ids[0]] < 490 {
		t.Errorf("after the partition is back: %d logged, lost %v", got[ids[0]], lost)
	}
}

// 9: what is held back is bounded; the rarest products go first, counted.
func TestHeldCountsAreBounded(t *testing.T) {
	g, f := newLogRig(t, AccessLog{}, 0)
	c := &g.access.counts
	now := time.UnixMilli(1_700_000_000_000)
	hits, next := int64(0), int64(10)
	for c.entries < heldEntries {
		for range 60_000 {
			g.access.hits.page(&page{key: pageKey{id: next}})
			next++
			hits++
		}
		for range 3 {
			g.access.hits.miss(5) // hotter, so it stays
			hits++
		}
		now = now.Add(150 * time.Millisecond)
		c.flush(now, false)
	}
	for range 9 {
		g.access.hits.miss(6) // no room at all
		hits++
	}
	now = now.Add(150 * time.Millisecond)
	c.flush(now, false)
	if c.entries != heldEntries {
		t.Errorf("%d counts are held back, want %d", c.entries, heldEntries)
	}
	f.parts = 2
	c.flush(now.Add(150*time.Millisecond), false)
	got, lost := logged(t, f.log), losses(t, g.access.books)
	if totalOf(got)+lost[lostKeys] != hits || len(lost) != 1 || got[5] != 3*5 || got[6] != 0 {
		t.Errorf("%d hits: %d logged, lost %v, %d and %d of the two", hits, totalOf(got), lost, got[5], got[6])
	}
	for _, r := range f.log {
		if len(r.Value) > 256<<10 {
			t.Errorf("a record of %d bytes", len(r.Value))
		}
	}
}

// A record stays below 256 KiB with the largest ids and counts there are.
func TestRecordsAreSplit(t *testing.T) {
	g, f := newLogRig(t, AccessLog{}, 1)
	c := &g.access.counts
	c.follow(1)
	at := time.UnixMilli(1_700_000_000_000)
	var counts []accesslog.Count
	const n = 5*recordCounts/2 + 1
	for i := range int64(n) {
		counts = append(counts, accesslog.Count{ID: (i + 1) << 48, N: 1 << 24})
	}
	c.parts[0].waiting = []interval{{at.UnixMilli(), counts}}
	c.entries = n
	g.access.books.held.Add(n << 24)
	c.send(0, at.UnixMilli()+slotMillis, false)
	if len(f.log) != 3 || totalOf(logged(t, f.log)) != n<<24 || c.entries != 0 {
		t.Errorf("%d records with %d hits, want 3 with %d", len(f.log), totalOf(logged(t, f.log)), n<<24)
	}
	for _, r := range f.log {
		if len(r.Value) > 256<<10 {
			t.Errorf("a record of %d bytes", len(r.Value))
		}
	}
}

// What cannot be sent at the end is counted: no partitions, or a producer that
// refuses.
func TestLastFlush(t *testing.T) {
	g, _ := newLogRig(t, AccessLog{}, 0)
	g.access.hits.miss(1)
	g.access.counts.flush(time.Now(), true)
	if lost := losses(t, g.access.books); lost[kafka.DropShutdown] != 1 || g.access.books.held.Load() != 0 {
		t.Errorf("lost %v, held %d", lost, g.access.books.held.Load())
	}
	g, f := newLogRig(t, AccessLog{}, 1)
	f.stuck[0] = true
	now := time.Now()
	for range 2 * underway {
		g.access.hits.miss(1)
		now = now.Add(slotMillis * time.Millisecond)
		g.access.counts.flush(now, false)
	}
	g.access.counts.flush(now, true)
	if n := len(f.unsettled); n != 2*underway {
		t.Errorf("%d records are with the producer, want all %d", n, 2*underway)
	}
	f.answer(kafka.DropShutdown)
	if lost := losses(t, g.access.books); lost[kafka.DropShutdown] != 2*underway || g.access.books.held.Load() != 0 {
		t.Errorf("lost %v, held %d", lost, g.access.books.held.Load())
	}
}

// All products become hot at the same moment: what that costs the brokers is bounded, no partition is left
// out, and nothing waits longer than for the end of its slice.
func TestEarlyRecordsAreBounded(t *testing.T) {
	const parts, products, seconds = 8, 100, 3
	g, f := newLogRig(t, AccessLog{}, parts)
	l := g.access
	now := time.UnixMilli(1_700_000_000_000)
	hit, early := map[int64]int64{}, map[int32]int{}
	for sweep := range seconds * 50 {
		for id := range int64(products) {
			id += int64(sweep/5)*products + 1 // others each tenth of a second, so that there are always new ones
			for range 30 {
				l.hits.miss(id)
			}
			hit[id] += 30
		}
		now = now.Add(sweepEvery)
		before := len(f.log)
		l.counts.flush(now, false)
		for _, r := range f.log[before:] {
			if r.Time.Equal(now) { // its slice is not over
				early[r.Partition]++
			}
		}
	}
	sum := 0
	for p := range int32(parts) {
		sum += early[p]
		if early[p] < 3*seconds {
			t.Errorf("partition %d was told of early %d times in %d s", p, early[p], seconds)
		}
	}
	if most := earlyRecords * (1 + seconds); sum > most || sum < most/2 {
		t.Errorf("%d early records in %d s, want at most %d and nearly as many", sum, seconds, most)
	}
	if total := len(f.log); total > sum+parts*10*seconds {
		t.Errorf("%d records in all, %d of them early", total, sum)
	}
	l.counts.flush(now.Add(slotMillis*time.Millisecond), false)
	if got := logged(t, f.log); !maps.Equal(got, hit) {
		t.Error("the log does not have all hits")
	}
}
