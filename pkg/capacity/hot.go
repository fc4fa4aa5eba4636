package capacity

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"eshop/pkg/accesslog"
	"eshop/pkg/hotlist"
	"eshop/pkg/window"
)

// counting is hotcount: a window and a detector for each partition.
type counting struct {
	fleet     Fleet
	zipf      *Zipf
	random    *rand.Rand
	windows   []*window.Window
	detectors []*window.Detector
	told      [][]int64 // products of a slot by partition
	now       int64     // ms
	due       float64
}

// minWindow is the least memory of a window (roles/hotcount).
const minWindow = 1 << 20

func newCounting(f Fleet) (*counting, error) {
	c := &counting{fleet: f, zipf: f.zipf(), random: f.random(1), told: make([][]int64, f.Partitions), now: 1_000_000_000}
	for range f.Partitions {
		w, err := window.New(window.Config{Span: time.Duration(f.Rule.Window), Slice: hotlist.Slice,
			Bytes: max(minWindow, f.HotcountBytes/int64(f.Partitions))})
		if err != nil {
			return nil, fmt.Errorf("simulate hotcount: %w", err)
		}
		c.windows, c.detectors = append(c.windows, w), append(c.detectors, window.NewDetector())
	}
	return c, nil
}

// rule is what hotcount hands to its detectors.
func (c *counting) rule() window.Rule {
	r := c.fleet.Rule
	return window.Rule{Floor: r.Floor, Factor: r.Factor, Cool: r.Cool, Hold: time.Duration(r.Hold), Max: r.Max}
}

// slot counts the requests of a time at its end, as the records of the gateways
// tell of them: extra ones for one product beside those of the distribution.
// Where only is not negative, that partition alone is told.
func (c *counting) slot(d time.Duration, rate float64, product int64, extra float64, only int32) {
	c.now += d.Milliseconds()
	for c.due += rate * d.Seconds(); c.due >= 1; c.due-- {
		id := c.zipf.Draw(c.random)
		if p := accesslog.Partition(id, len(c.windows)); only < 0 || p == only {
			c.told[p] = append(c.told[p], id)
		}
	}
	for p, ids := range c.told { // one after the other: a window stays in the processor's cache
		for _, id := range ids {
			c.windows[p].Add(id, 1, c.now)
		}
		c.told[p] = ids[:0]
	}
	if extra > 0 {
		c.windows[accesslog.Partition(product, len(c.windows))].Add(product, int64(extra*d.Seconds()), c.now)
	}
	for p, w := range c.windows {
		if only < 0 || int32(p) == only {
			w.Advance(c.now)
			c.detectors[p].Evaluate(w, c.rule())
		}
	}
}

// Hot is what hotcount finds in steady traffic.
type Hot struct {
	IDs       []int64
	Share     float64 // of the traffic
	Waiting   int64   // products that meet the rule and find no room under its Max
	Threshold float64 // hits in the window, the highest of the partitions
	Exact     bool    // no window was short of memory
	// Counted are the hits in all windows at the end, Distinct the products, which
	// are estimated where a window is not exact.
	Counted, Distinct int64
}

// settle counts steady traffic until the windows are full and the rule has had
// time to settle.
func (c *counting) settle() {
	span := time.Duration(c.fleet.Rule.Window) + 2*time.Second
	for range span / hotlist.Slice {
		c.slot(hotlist.Slice, c.fleet.Rate, 0, 0, -1)
	}
}

func (c *counting) found() Hot {
	h := Hot{Exact: true}
	for p, d := range c.detectors {
		for _, k := range d.Hot() {
			h.IDs = append(h.IDs, k.ID)
			h.Share += c.zipf.Share(float64(k.ID))
		}
		h.Waiting += d.Overflow()
		h.Threshold = max(h.Threshold, d.Threshold())
		h.Exact = h.Exact && c.windows[p].Exact()
		h.Counted += c.windows[p].Total()
		h.Distinct += c.windows[p].Distinct()
	}
	slices.Sort(h.IDs)
	return h
}

// sweep is how often a gateway tells at once of a product that may be about to
// become hot (roles/gateway).
const sweep = 20 * time.Millisecond

// surge gives one product a share of all traffic, the others the rest, and
// returns after which time it is hot; false if it is not after the window's
// length.
func (c *counting) surge(product int64, share float64) (time.Duration, bool) {
	p := accesslog.Partition(product, len(c.windows))
	rate := c.fleet.Rate
	for d := sweep; d <= time.Duration(c.fleet.Rule.Window); d += sweep {
		c.slot(sweep, rate*(1-share), product, rate*share, p)
		for _, k := range c.detectors[p].Hot() {
			if k.ID == product {
				return d, true
			}
		}
	}
	return 0, false
}
