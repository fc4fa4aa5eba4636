package hotcount

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"eshop/pkg/hotlist"
	"eshop/pkg/kafka"
	"eshop/pkg/window"
)

// Times of the counting loop. The rule is evaluated when evaluateAfter has
// passed since the last time, on a tick at the latest, and after evaluateWork
// products at the latest, which takes a few milliseconds.
const (
	tickEvery     = 10 * time.Millisecond
	evaluateAfter = tickEvery / 2 // so that no tick comes too early
	evaluateWork  = 1 << 14
	hotEvery      = 10 * time.Second // the hot list is published again, though nothing changed
	topAfter      = 5 * time.Second  // the ranking is, if it has changed
	topEvery      = 30 * time.Second // the ranking is, in any case
	snapshotEvery = time.Second
	batchRecords  = 1024
)

// source is an assigned partition; *kafka.Assigned is one.
type source interface {
	ID() int32
	Partitions() int
	Start() int64
	Target() int64
	End() int64
	Checked() (end int64, at time.Time)
	Read(tick <-chan time.Time, buf []kafka.Record) (n int, ok bool)
	Commit(next int64)
}

// partition counts one partition for as long as this process holds it. All but
// the fields that are said to be for others belong to the goroutine of run.
type partition struct {
	*shared
	src      source
	c        *counter
	pub      *publisher
	detector *window.Detector
	asked    time.Time // when the group was told where to begin

	rebuilt  bool // the log has been read to where it ended at the start
	restored bool // the detector knows what the former holder had found
	hot      []int64

	evaluated, hotAt, topMade, topAt, snapshotAt time.Time

	// For others: the newest state, nil until the window is rebuilt, the last
	// ranking, and where the loop stands.
	state                       atomic.Pointer[snapshot]
	ranking                     atomic.Pointer[hotlist.Top]
	next, end, watermark, bytes atomic.Int64
}

// run counts until the partition is taken away. The publisher is this
// partition's own and ends with it.
func (p *partition) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { p.pub.run(ctx) })

	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	buf := make([]kafka.Record, batchRecords)
	for {
		n, ok := p.src.Read(tick.C, buf)
		if !ok {
			return
		}
		p.batch(buf[:n])
		clear(buf[:n]) // an idle partition must not hold on to a whole fetch
	}
}

// batch counts records and evaluates the rule between them when it is time.
func (p *partition) batch(records []kafka.Record) {
	now, work := time.Now(), 0
	for i := range records {
		work += p.c.count(&records[i], now.UnixMilli())
		if work >= evaluateWork {
			now, work = time.Now(), 0
			p.step(now)
		}
	}
	p.step(time.Now())
	p.metrics.add(&p.c.tally)
}

// step evaluates the rule, if it is time, and hands over what has to be
// published. Whatever is published comes from one evaluation, so that its counts
// belong to its offset and watermark.
func (p *partition) step(now time.Time) {
	p.next.Store(p.c.next)
	p.end.Store(p.src.End())
	p.bytes.Store(p.c.win.Bytes())
	if now.Sub(p.evaluated) < evaluateAfter {
		return
	}
	p.evaluated = now
	p.src.Commit(p.c.next)
	if !p.rebuilt {
		if p.c.next < p.src.Target() {
			return
		}
		// All that was in the log when the partition was asked for has been read,
		// so it is at least that late; and from then on no window begins before
		// the first record that was read.
		p.rebuilt = true
		p.c.win.Advance(p.asked.UnixMilli())
	}
	// What the brokers had when they were asked last has been counted, so it is at
	// least that late. While they hang nobody knows what they will have, and the
	// clock stands.
	if end, at := p.src.Checked(); p.c.next >= max(end, p.src.End()) {
		p.c.win.Advance(min(now.UnixMilli(), at.UnixMilli()))
	}
	p.watermark.Store(p.c.win.Watermark())
	if former := p.pub.former.Swap(nil); former != nil {
		// After a claim made anew this process knows better than whoever published
		// in between, and says so at once.
		if !p.restored {
			p.detector.Restore(detected(former.Keys))
			p.hot, p.restored = ids(former.Keys), true
		}
		p.hotAt = time.Time{}
	}
	rule := p.rule.Load()
	if p.restored {
		p.publish(now, rule)
	}
	if now.Sub(p.snapshotAt) >= snapshotEvery {
		p.snapshotAt = now
		p.state.Store(p.snap(now))
	}
}

// publish evaluates the rule and puts into the mailbox what others must know.
func (p *partition) publish(now time.Time, rule *hotlist.Rule) {
	changed := p.detector.Evaluate(p.c.win, detection(rule))
	if changed || now.Sub(p.hotAt) >= hotEvery {
		list := p.hotList(now)
		p.pub.offerHot(list, p.found(list.Keys))
		p.hotAt = now
	}
	if now.Sub(p.topMade) >= topAfter {
		list := p.topList(now, rule)
		last := p.ranking.Swap(list)
		p.topMade = now
		if last == nil || now.Sub(p.topAt) >= topEvery || list.Total != last.Total || !slices.Equal(list.Keys, last.Keys) {
			p.pub.offerTop(list)
			p.topAt = now
		}
	}
}

// found returns the event time of the newest hit for each key that was not hot
// before, and remembers which are now.
func (p *partition) found(keys []hotlist.Key) []int64 {
	var times []int64
	for _, k := range keys {
		if !slices.Contains(p.hot, k.ID) {
			times = append(times, p.c.newest)
		}
	}
	p.metrics.turnedHot.Add(float64(len(times)))
	p.metrics.cooled.Add(float64(len(p.hot) + len(times) - len(keys)))
	p.hot = ids(keys)
	return times
}

// hotList is what is published as hot/<partition>.
func (p *partition) hotList(now time.Time) *hotlist.Hot {
	list := &hotlist.Hot{Partition: p.src.ID(), Offset: p.c.next, Watermark: p.c.win.Watermark(), Published: now.UnixMilli()}
	for _, h := range p.detector.Hot() {
		list.Keys = append(list.Keys, hotlist.Key{ID: h.ID, Count: h.Count, Since: h.Since, Reason: hotlist.ReasonRule})
	}
	return list
}

// topList is what is published as top/<partition>.
func (p *partition) topList(now time.Time, rule *hotlist.Rule) *hotlist.Top {
	list := &hotlist.Top{
		Partition: p.src.ID(), Offset: p.c.next, Watermark: p.c.win.Watermark(), Published: now.UnixMilli(), Span: p.c.span.Milliseconds(),
		Total: p.c.win.Total(), Distinct: p.c.win.Distinct(), Lag: p.behind(),
	}
	list.Rate = float64(list.Total) / p.c.span.Seconds()
	for _, k := range p.c.win.Top(share(rule.Top, p.src.Partitions()), nil) {
		list.Keys = append(list.Keys, hotlist.Count(k))
	}
	return list
}

// behind is how many records of the log are not counted yet. It is for others too.
func (p *partition) behind() int64 { return max(0, p.end.Load()-p.next.Load()) }

// share is how many of the top n products a partition tells of: twice its share
// and some, because products are not spread evenly.
func share(n, partitions int) int { return min(n, 2*n/max(1, partitions)+50) }

// detection is the part of the rule that the detector takes.
func detection(r *hotlist.Rule) window.Rule {
	return window.Rule{Floor: r.Floor, Factor: r.Factor, Cool: r.Cool, Hold: time.Duration(r.Hold), Max: r.Max}
}

// detected turns published keys back into the detector's state.
func detected(keys []hotlist.Key) []window.Hot {
	hot := make([]window.Hot, 0, len(keys))
	for _, k := range keys {
		hot = append(hot, window.Hot{ID: k.ID, Count: k.Count, Since: k.Since})
	}
	return hot
}

func ids(keys []hotlist.Key) []int64 {
	list := make([]int64, 0, len(keys))
	for _, k := range keys {
		list = append(list, k.ID)
	}
	return list
}
