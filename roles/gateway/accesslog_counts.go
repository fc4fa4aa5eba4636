package gateway

import (
	"cmp"
	"context"
	"slices"
	"time"

	"eshop/pkg/accesslog"
	"eshop/pkg/kafka"
)

// counts turns swept hits into records: one for each partition and flush. Only
// its goroutine touches it.
//
// A partition is flushed after each sweep while one of its products may be about to
// become hot (accesslog_near.go), as long as these are few (earlyRecords), else once in
// a slice of hotcount's window: a broker and its replicas spend on a record of one
// product what they spend on one of many, and nobody waits for those.
//
// While Kafka takes nothing, or its partitions are unknown, counts are held
// back here, not in the producer: here those of a tenth of a second become one,
// and what is too old for any window makes room for what is not. So after an
// outage the log gets its last ten seconds, and no heat of a minute ago. Each
// partition is held back by itself, so that a dead broker does not stop the
// others (PITFALL 24).
type counts struct {
	log      *accessLog
	parts    []partCounts // one, a stand-in, while the partitions are unknown
	known    bool
	sequence []uint64 // of the last record by partition; outlives a partition that goes away
	entries  int      // held back, all partitions together
	near     near
	early    *bucket // of flushes before the end of a slice
	turn     int     // which partition is the first to ask it
}

// partCounts is what one partition has yet to be told.
type partCounts struct {
	fresh   []accesslog.Count // of this sweep, as they come
	waiting []interval        // oldest first
	spare   []accesslog.Count
	urgent  bool // a product of this sweep may be about to become hot
}

// interval is the counts of a time that ended at at (unix ms), by ascending id.
type interval struct {
	at     int64
	counts []accesslog.Count
}

const (
	// heldMillis is the age at which counts are dropped: later than that they
	// are outside of every window, and as new they would invent heat.
	heldMillis = 10_000
	// slotMillis is the time that counts are summed up over: a slice of hotcount's
	// window.
	slotMillis = 100
	// heldEntries bounds the counts that are held back, 16 bytes each.
	heldEntries = 1 << 18
	// underway is how many records of a partition may be without an answer before
	// its counts are held back.
	underway = 16
	// recordCounts keeps a record below 256 KiB, however large ids and counts are.
	recordCounts = 12_000
	// earlyRecords is how many flushes of a partition a second, and at once after a
	// pause, need not wait for the end of their slice. It is enough for the products that
	// become hot one by one. When all of them do, because a load has just begun or
	// this gateway has, each record more would cost three brokers what a thousand hits
	// cost here, and tell hotcount of everything at once a tenth of a second sooner.
	earlyRecords = 32
	// spareEntries is the largest buffer that is kept for further sweeps.
	spareEntries = 8192
)

func (c *counts) init(l *accessLog) {
	c.log = l
	c.near.init()
	c.early = newBucket(earlyRecords)
}

// run sweeps in its rhythm until ctx ends; the last flush is left to the caller.
func (c *counts) run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	kick := c.log.hits.kick
	for last := time.Now(); ; {
		early := false
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			kick = c.log.hits.kick
		case <-kick:
			early = true
			if wait := earlyEvery - time.Since(last); wait > 0 {
				early := time.NewTimer(wait)
				select {
				case <-ctx.Done():
				case <-early.C:
				}
				early.Stop()
			}
			select {
			case <-c.log.hits.kick: // whoever asked meanwhile is among the swept
			default:
			}
		}
		last = time.Now()
		if urgent := c.flush(last, false); early && !urgent {
			kick = nil // who asked has nothing to tell at once: no more before the next sweep
		}
	}
}

// flush sweeps and offers what may be sent; urgent tells whether some of it could
// not wait. The last one offers everything, for the producer is the only one that
// still works on it.
func (c *counts) flush(now time.Time, last bool) (urgent bool) {
	l := c.log
	c.follow(l.out.Partitions(l.topic))
	c.near.age(now)
	from, to := nearRange(l.floor.Load(), l.gateways())
	swept := l.hits.sweep(func(id, n int64) {
		p := &c.parts[accesslog.Partition(id, len(c.parts))]
		p.fresh = append(p.fresh, accesslog.Count{ID: id, N: n})
		if recent := c.near.add(id, n); recent >= from && recent-n < to && heating(recent, n) && !p.urgent {
			p.urgent = !l.hot(id)
		}
	})
	l.books.held.Add(swept)
	at := now.UnixMilli()
	c.turn++ // all partitions fare alike where the bucket is empty
	for k := range c.parts {
		i := (k + c.turn) % len(c.parts)
		p := &c.parts[i]
		p.urgent = p.urgent && c.early.take(now)
		urgent = urgent || p.urgent
		c.hold(&c.parts[i], at)
		c.expire(&c.parts[i], at-heldMillis)
		c.send(int32(i), at, last)
	}
	return urgent
}

// hold adds the sweep's counts to those that wait.
func (c *counts) hold(p *partCounts, at int64) {
	fresh := total(p.fresh)
	if len(fresh) == 0 {
		return
	}
	if room := heldEntries - c.entries; len(fresh) > room {
		if fresh = c.cut(fresh, room); len(fresh) == 0 {
			p.fresh = p.fresh[:0]
			return
		}
	}
	if n := len(p.waiting) - 1; n >= 0 && p.waiting[n].at/slotMillis == at/slotMillis {
		w := &p.waiting[n]
		c.entries -= len(w.counts)
		was := w.counts
		w.at, w.counts = max(w.at, at), merge(p.spare[:0], was, fresh)
		c.entries += len(w.counts)
		p.fresh, p.spare = p.fresh[:0], was[:0]
		return
	}
	p.waiting = append(p.waiting, interval{at, fresh})
	c.entries += len(fresh)
	p.fresh, p.spare = p.spare[:0], nil
}

// total orders counts by id and adds up those of one product, in place.
func total(counts []accesslog.Count) []accesslog.Count {
	slices.SortFunc(counts, func(a, b accesslog.Count) int { return cmp.Compare(a.ID, b.ID) })
	n := 0
	for i, k := range counts {
		if i > 0 && counts[n-1].ID == k.ID {
			counts[n-1].N += k.N
			continue
		}
		counts[n] = k
		n++
	}
	return counts[:n]
}

// merge adds up two lists that total has ordered.
func merge(dst, a, b []accesslog.Count) []accesslog.Count {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].ID < b[0].ID:
			dst, a = append(dst, a[0]), a[1:]
		case a[0].ID > b[0].ID:
			dst, b = append(dst, b[0]), b[1:]
		default:
			dst, a, b = append(dst, accesslog.Count{ID: a[0].ID, N: a[0].N + b[0].N}), a[1:], b[1:]
		}
	}
	return append(append(dst, a...), b...)
}

// cut drops all but the highest counts for want of room.
func (c *counts) cut(counts []accesslog.Count, room int) []accesslog.Count {
	slices.SortFunc(counts, func(a, b accesslog.Count) int { return cmp.Compare(b.N, a.N) })
	c.log.books.giveUp(lostKeys, sum(counts[room:]))
	return total(counts[:room])
}

func sum(counts []accesslog.Count) int64 {
	var n int64
	for _, k := range counts {
		n += k.N
	}
	return n
}

func (c *counts) expire(p *partCounts, before int64) {
	for len(p.waiting) > 0 && p.waiting[0].at < before {
		c.log.books.giveUp(lostOld, sum(p.waiting[0].counts))
		c.pop(p)
	}
}

// pop takes the oldest interval away; its memory is for the next but one sweep.
func (c *counts) pop(p *partCounts) {
	c.entries -= len(p.waiting[0].counts)
	if counts := p.waiting[0].counts; cap(counts) <= spareEntries {
		p.spare = counts[:0]
	}
	p.waiting[0].counts = nil
	if p.waiting = p.waiting[1:]; len(p.waiting) == 0 {
		p.waiting = nil
	}
}

// send offers the intervals that are over, and the present one if it is urgent.
func (c *counts) send(partition int32, at int64, last bool) {
	l, p := c.log, &c.parts[partition]
	urgent := p.urgent
	p.urgent = false
	for len(p.waiting) > 0 {
		w := p.waiting[0]
		switch {
		case !last && !urgent && w.at/slotMillis == at/slotMillis: // a clock that went back holds nothing up
			return
		case !c.known && last:
			l.books.giveUp(kafka.DropShutdown, sum(w.counts))
		case !c.known, !last && l.books.slot(partition).Load() >= underway:
			return
		default:
			for part := range slices.Chunk(w.counts, recordCounts) {
				c.offer(partition, w.at, part)
			}
		}
		c.pop(p)
	}
}

func (c *counts) offer(partition int32, at int64, part []accesslog.Count) {
	l := c.log
	c.sequence[partition]++
	value := accesslog.AppendCounts(make([]byte, 0, 64+len(l.gateway)+6*len(part)), &accesslog.Counts{
		Gateway: l.gateway, Boot: l.boot.UnixMilli(), Sequence: c.sequence[partition], Time: at, Counts: part})
	r := kafka.Record{Topic: l.topic, Partition: partition, Value: value, Time: time.UnixMilli(at)}
	l.books.offered(&r)
	l.out.Offer(r) // what it refuses, it drops, and the books are told
}

// follow takes note of the number of partitions. What waits is dealt out anew
// when it changes.
func (c *counts) follow(n int) {
	if n == 0 { // unknown; once known, it is as good as any
		if c.parts == nil {
			c.parts = make([]partCounts, 1)
		}
		return
	}
	if c.known && n == len(c.parts) {
		return
	}
	old := c.parts
	c.parts, c.known = make([]partCounts, n), true
	c.sequence = append(c.sequence, make([]uint64, max(0, n-len(c.sequence)))...)
	c.log.partitions.Store(int64(n))
	c.entries = 0
	for _, p := range old {
		for _, w := range p.waiting {
			for _, k := range w.counts {
				c.parts[accesslog.Partition(k.ID, n)].deal(w.at, k)
			}
		}
	}
	for i := range c.parts {
		p := &c.parts[i]
		slices.SortFunc(p.waiting, func(a, b interval) int { return cmp.Compare(a.at, b.at) })
		for j := range p.waiting {
			p.waiting[j].counts = total(p.waiting[j].counts)
			c.entries += len(p.waiting[j].counts)
		}
	}
}

// deal adds a count to the interval of its time. The intervals are few: one for
// each slot within heldMillis.
func (p *partCounts) deal(at int64, k accesslog.Count) {
	i := slices.IndexFunc(p.waiting, func(w interval) bool { return w.at/slotMillis == at/slotMillis })
	if i < 0 {
		i = len(p.waiting)
		p.waiting = append(p.waiting, interval{at: at})
	}
	w := &p.waiting[i]
	w.at, w.counts = max(w.at, at), append(w.counts, k)
}
