package hotcount

import (
	"fmt"
	"slices"
	"time"

	"eshop/pkg/accesslog"
	"eshop/pkg/hotlist"
	"eshop/pkg/kafka"
)

// recounter counts a partition's log anew by the stated rules, without any of
// the code under test but the decoder.
type recounter struct {
	offsets []int64 // of each record, ascending
	hits    []hit   // of the records, in their order
	ends    []int   // behind the last hit of each record
	seen    map[string]uint64
	dec     accesslog.Decoder
}

// hit is n hits of a product at an event time.
type hit struct{ id, n, at int64 }

func (c *recounter) add(r kafka.Record) {
	if c.seen == nil {
		c.seen = map[string]uint64{}
	}
	rec, err := c.dec.Decode(r.Value)
	if err == nil && rec.Shape == accesslog.ShapeCounts {
		who := fmt.Sprint(string(rec.Gateway), rec.Boot)
		if rec.Sequence <= c.seen[who] {
			rec.Counts = nil
		}
		c.seen[who] = max(c.seen[who], rec.Sequence)
	}
	if err == nil {
		at := rec.Time
		if at == 0 {
			at = r.Time.UnixMilli()
		}
		for _, k := range rec.Counts {
			c.hits = append(c.hits, hit{k.ID, k.N, at})
		}
	}
	c.offsets = append(c.offsets, r.Offset)
	c.ends = append(c.ends, len(c.hits))
}

// until counts what a window holds at a watermark when everything below the
// offset has been counted, and nothing else.
func (c *recounter) until(offset, watermark int64, span time.Duration) map[int64]int64 {
	counts := map[int64]int64{}
	n, _ := slices.BinarySearch(c.offsets, offset)
	if n == 0 {
		return counts
	}
	newest := watermark / 100
	oldest := newest - span.Milliseconds()/100 + 1
	for _, h := range c.hits[:c.ends[n-1]] {
		if s := h.at / 100; s >= oldest && s <= newest {
			counts[h.id] += h.n
		}
	}
	return counts
}

// checkHot compares a published hot list with the log.
func (c *recounter) checkHot(list hotlist.Hot, span time.Duration) error {
	truth := c.until(list.Offset, list.Watermark, span)
	for _, k := range list.Keys {
		if k.Count != truth[k.ID] {
			return fmt.Errorf("partition %d, offset %d, watermark %d: hot product %d was published with %d hits, the log has %d", list.Partition, list.Offset, list.Watermark, k.ID, k.Count, truth[k.ID])
		}
	}
	return nil
}

// checkTop compares a published ranking with the log: the counts, the totals,
// and that nothing is missing above the last one.
func (c *recounter) checkTop(list hotlist.Top) error {
	truth := c.until(list.Offset, list.Watermark, time.Duration(list.Span)*time.Millisecond)
	total, least, listed := int64(0), int64(0), map[int64]bool{}
	for _, n := range truth {
		total += n
	}
	fail := func(format string, args ...any) error {
		return fmt.Errorf("partition %d, offset %d, watermark %d: %s", list.Partition, list.Offset, list.Watermark, fmt.Sprintf(format, args...))
	}
	if list.Total != total || list.Distinct != int64(len(truth)) {
		return fail("published %d hits of %d products, the log has %d of %d", list.Total, list.Distinct, total, len(truth))
	}
	for _, k := range list.Keys {
		if k.N != truth[k.ID] {
			return fail("product %d was published with %d hits, the log has %d", k.ID, k.N, truth[k.ID])
		}
		least, listed[k.ID] = k.N, true
	}
	for id, n := range truth {
		if n > least && !listed[id] {
			return fail("product %d with %d hits is missing above the last, which has %d", id, n, least)
		}
	}
	return nil
}
