package hotcount

import (
	"slices"
	"sync"
	"time"
)

// Bounds of what is remembered for the dashboard.
const (
	historyLength = 60  // values of a product, one a second
	historyKeys   = 512 // products: the hot ones first, then the most frequent
	delaysKept    = 1000
)

// history keeps a minute of rates for each product that is hot or near it, so
// that one that turns hot shows how it got there.
type history struct {
	mu    sync.Mutex
	rates map[int64][]float32
}

// record adds one value for each product; what is not among them is forgotten.
func (h *history) record(b *board) {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := make(map[int64][]float32, len(h.rates))
	add := func(id int64, rate float64) {
		if _, there := next[id]; there || len(next) >= historyKeys {
			return
		}
		values := h.rates[id]
		if len(values) >= historyLength {
			values = slices.Delete(values, 0, len(values)-historyLength+1)
		}
		next[id] = append(values, float32(rate))
	}
	for _, k := range b.hot {
		add(k.id, k.rate)
	}
	for _, c := range b.top[:min(len(b.top), snapshotTop)] {
		add(c.ID, b.rates[c.ID])
	}
	h.rates = next
}

// of returns a product's rates in hits a second, the oldest first.
func (h *history) of(id int64) []float32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.rates[id])
}

// delays keeps the newest detection delays.
type delays struct {
	mu    sync.Mutex
	ring  []time.Duration
	count uint64
}

func (d *delays) add(delay time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.ring) < delaysKept {
		d.ring = append(d.ring, delay)
	} else {
		d.ring[d.count%delaysKept] = delay
	}
	d.count++
}

// delaySummary is in milliseconds; count is since the start, the quantiles are
// of the newest delays.
type delaySummary struct {
	Last  float64 `json:"last"`
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	Count uint64  `json:"count"`
}

func (d *delays) summary() delaySummary {
	d.mu.Lock()
	sorted := slices.Clone(d.ring)
	s := delaySummary{Count: d.count}
	if d.count > 0 {
		s.Last = milliseconds(d.ring[(d.count-1)%delaysKept])
	}
	d.mu.Unlock()
	if n := len(sorted); n > 0 {
		slices.Sort(sorted)
		s.P50, s.P99 = milliseconds(sorted[(n-1)/2]), milliseconds(sorted[(n-1)*99/100])
	}
	return s
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
