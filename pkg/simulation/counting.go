package simulation

import (
	"time"

	"eshop/pkg/accesslog"
	"eshop/pkg/window"
)

// The access log's half of the model: senders, one partition, and whoever holds
// it. It shares nothing with the rest but the seed.
const (
	span     = time.Second
	slice    = 100 * time.Millisecond
	slack    = 5_000 // how much further back than a window a new holder reads, ms
	maxDelay = 2_000 // of a record on its way, ms
	products = 4
)

// entry is a record of the access log.
type entry struct {
	value []byte
	at    int64 // when the brokers got it, ms
	hits  accesslog.Counts
	again bool // it was there before
}

// sender is one run of a gateway.
type sender struct {
	gateway  string
	boot     int64
	sequence uint64
	skew     int64
}

// holder counts the partition, from its start to its end.
type holder struct {
	win     *window.Window
	seen    accesslog.Sequences
	decoder accesslog.Decoder
	asked   int64
	next    int
	target  int
	whole   bool // all that was there when it began has been read
}

// counting is that half.
type counting struct {
	w       *world
	now     int64
	log     []entry
	senders [2]sender
	h       *holder
}

// countLog plays it.
func (w *world) countLog() {
	c := &counting{w: w, now: 1_000_000}
	for i := range c.senders {
		c.senders[i] = sender{gateway: string(rune('a' + i)), boot: c.now - 10_000, skew: int64(w.choices.below(1000)) - 500}
	}
	c.move()
	for range 60 {
		switch n := w.choices.below(20); {
		case n < 8:
			c.send(&c.senders[w.choices.below(2)])
		case n < 17:
			c.count()
		case n == 17:
			c.now += int64(w.choices.below(1500))
		case n == 18:
			c.move()
			w.events.note("log: moves of the partition")
		default:
			s := &c.senders[w.choices.below(2)]
			s.boot, s.sequence = max(s.boot+1, c.now+s.skew), 0 // two runs never begin in one millisecond
			w.events.note("log: restarts of a sender")
		}
		c.now += int64(w.choices.below(60))
	}
	for (c.h.next < len(c.log) || !c.h.whole) && w.violation == "" {
		c.count()
	}
}

// send writes what a gateway has counted. It may be dropped on the way, come
// late, or come twice because the answer was lost.
func (c *counting) send(s *sender) {
	s.sequence++
	if c.w.choices.chance(10) {
		c.w.events.note("log: records that were dropped")
		return
	}
	r := accesslog.Counts{Gateway: s.gateway, Boot: s.boot, Sequence: s.sequence, Time: c.now + s.skew}
	if c.w.choices.chance(6) {
		r.Time -= int64(c.w.choices.below(maxDelay))
	}
	for id := range int64(products) {
		if c.w.choices.chance(2) || id == 0 {
			r.Counts = append(r.Counts, accesslog.Count{ID: id + 1, N: int64(1 + c.w.choices.below(9))})
		}
	}
	e := entry{value: accesslog.AppendCounts(nil, &r), at: c.now, hits: r}
	c.log = append(c.log, e)
	c.w.say("log: offset %d at %d is %+v", len(c.log)-1, e.at, r)
	if c.w.choices.chance(5) {
		e.again = true
		c.log = append(c.log, e)
		c.w.events.note("log: records written twice")
	}
}

// move gives the partition to a new holder, wherever the old one was.
func (c *counting) move() {
	win, err := window.New(window.Config{Span: span, Slice: slice, Bytes: 64 << 10})
	if err != nil {
		panic(err)
	}
	c.w.say("log: moves at %d", c.now)
	c.h = &holder{win: win, seen: accesslog.NewSequences(), asked: c.now, target: len(c.log)}
	for from := c.now - span.Milliseconds() - slack; c.h.next < len(c.log) && c.log[c.h.next].at < from; {
		c.h.next++
	}
}

// count is one step of the holder: a record, or the rule between two.
func (c *counting) count() {
	h := c.h
	if h.next < len(c.log) {
		rec, err := h.decoder.Decode(c.log[h.next].value)
		h.next++
		if err != nil {
			c.w.violate(11, "a record of the access log cannot be read: %v", err)
			return
		}
		if duplicate, _ := h.seen.Note(rec.Gateway, rec.Boot, rec.Sequence); duplicate {
			return
		}
		for _, k := range rec.Counts {
			h.win.Add(k.ID, k.N, rec.Time)
		}
	}
	if h.next >= h.target && !h.whole {
		h.whole = true
		h.win.Advance(h.asked)
	}
	if h.next == len(c.log) {
		h.win.Advance(c.now)
	}
	if h.whole {
		c.compare()
	}
}

// compare: 11, the counts are those of the log up to here, and of nothing else.
func (c *counting) compare() {
	newest := c.h.win.Watermark() / slice.Milliseconds()
	oldest := newest - int64(span/slice) + 1
	var truth [products + 1]int64
	for _, e := range c.log[:c.h.next] {
		if at := e.hits.Time / slice.Milliseconds(); !e.again && at >= oldest && at <= newest {
			for _, k := range e.hits.Counts {
				truth[k.ID] += k.N
			}
		}
	}
	for id := int64(1); id <= products; id++ {
		if got := c.h.win.Count(id); got != truth[id] {
			c.w.violate(11, "product %d was counted %d times at offset %d and watermark %d, the log has %d", id, got, c.h.next, c.h.win.Watermark(), truth[id])
		}
	}
}
