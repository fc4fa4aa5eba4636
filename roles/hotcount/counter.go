package hotcount

import (
	"errors"
	"fmt"
	"time"

	"eshop/pkg/accesslog"
	"eshop/pkg/hotlist"
	"eshop/pkg/kafka"
	"eshop/pkg/window"
)

// ahead is how far in this process's future an event may lie before its sender's
// clock is taken to be wrong.
const ahead = time.Second

// counter is one partition as far as it has been counted. Its window is a
// function of the log up to next, of the watermark, and of nothing else but
// records from the future. It is for one goroutine.
type counter struct {
	span   time.Duration // of the window
	bytes  int64         // the window's share of the memory
	win    *window.Window
	seen   accesslog.Sequences
	dec    accesslog.Decoder
	next   int64 // offset of the next record to count
	newest int64 // event time of the newest hit counted, ms since 1970
	tally  tally

	released time.Time // when the partition was taken away
}

// tally is what happened since it was last handed to the metrics.
type tally struct {
	records   int64
	malformed int64                             // records
	noProduct int64                             // records
	duplicate int64                             // records
	missing   uint64                            // records
	late      int64                             // hits
	future    int64                             // hits
	undated   int64                             // hits
	events    [accesslog.ShapeForeign + 1]int64 // hits by shape
}

func newCounter(span time.Duration, bytes, next int64) (*counter, error) {
	span, slice := sliced(span)
	win, err := window.New(window.Config{Span: span, Slice: slice, Bytes: bytes})
	if err != nil {
		return nil, fmt.Errorf("make a window of %v in %d bytes: %w", span, bytes, err)
	}
	return &counter{span: span, bytes: bytes, win: win, seen: accesslog.NewSequences(), next: next}, nil
}

// sliced returns the slice of a window and the window's length in whole slices:
// 100 ms each, and more for a window of more than 400 s, so that the slices do not
// take the memory that the counts need.
func sliced(span time.Duration) (whole, slice time.Duration) {
	slice = hotlist.Slice
	for span > maxSlices*slice {
		slice += hotlist.Slice
	}
	return (span + slice - 1) / slice * slice, slice
}

const maxSlices = 4000

// count counts one record and returns how much work that was, in products. A
// record that cannot be used is passed over: it must not stop the partition.
func (c *counter) count(r *kafka.Record, now int64) int {
	c.next = r.Offset + 1
	c.tally.records++
	rec, err := c.dec.Decode(r.Value)
	if err != nil {
		if errors.Is(err, accesslog.ErrNoProduct) {
			c.tally.noProduct++
		} else {
			c.tally.malformed++
		}
		return 1
	}
	at := rec.Time
	if at == 0 {
		at = r.Time.UnixMilli()
	}
	if rec.Shape == accesslog.ShapeCounts {
		duplicate, missing := c.seen.Note(rec.Gateway, rec.Boot, rec.Sequence)
		if duplicate {
			c.tally.duplicate++
			return 1
		}
		c.tally.missing += missing
	}
	future, undated := at > now+ahead.Milliseconds(), at <= 0
	if future || undated {
		at = now
	}
	var counted, late int64
	for _, k := range rec.Counts {
		if c.win.Add(k.ID, k.N, at) {
			counted += k.N
		} else {
			late += k.N
		}
	}
	c.tally.events[rec.Shape] += counted
	c.tally.late += late
	if future {
		c.tally.future += counted
	}
	if undated { // by a producer from before Kafka 0.10
		c.tally.undated += counted
	}
	if counted > 0 {
		c.newest = max(c.newest, at)
	}
	return 1 + len(rec.Counts)
}
