package lru

import (
	"sync"
	"sync/atomic"
)

// plan is what a cache can choose of its policy.
type plan struct {
	window    float64 // its share of the budget
	protected float64 // the protected list's share of the rest
	// uses is how often what leaves the window must have been used to go into the
	// main part.
	uses uint8
	// contest: and it must have been used more often than what it replaces.
	contest bool
}

// plans are those that a tuner tries, the one to begin with first. Between them
// they cover what one of them does badly: loops larger than the cache and
// frequencies that stay (contest), popularity that shifts (a large window), and
// what only the most recent use tells (all of it window, which is plain LRU).
func plans() []plan {
	return []plan{
		{window: 0.10, protected: 0.80, uses: 2},
		{window: 0.30, protected: 0.80, uses: 2},
		{window: 0.01, protected: 0.95, contest: true},
		leastRecent(),
	}
}

func leastRecent() plan { return plan{window: 1, uses: maxFreq + 1} }

const (
	// maxSample bounds the entries of a miniature.
	maxSample = 1024
	// judgedAfter is the number of uses, for each entry of a miniature, after which
	// the plans are compared.
	judgedAfter = 2
	// fade is what the hits of the time before count for at each comparison.
	fade = 0.9
	// better is by how much of the uses another plan must be ahead.
	better = 0.005
)

// agePeriod is after how many uses, for each entry, all counts are halved.
const agePeriod = 8

// epoch counts those times.
type epoch struct{ atomic.Uint32 }

func (e *epoch) now() uint8 { return uint8(e.Load()) }

// tuner chooses the plan of a cache. It plays what happens to a sample of the keys
// to a miniature of the cache for each plan, and takes the plan with most hits.
type tuner struct {
	plan   atomic.Uint32 // in plans
	sample atomic.Uint32 // keys whose mixed hash ends in less are in the sample
	// awake: entries had to leave since the last comparison. While none has, every
	// plan is as good as another.
	awake atomic.Bool
	epoch epoch
	_     [64]byte // what every hit reads is not on the cache line of what a sampled one writes

	mu         sync.Mutex
	limit      int64 // of the cache
	miniatures []segments[uint64, struct{}]
	hits       []float64
	uses       float64
	since      int // uses since the last comparison
	young      int // uses until the next epoch
	out        []*node[uint64, struct{}]
}

func newTuner(limit int64) (*tuner, error) {
	t := &tuner{limit: limit, miniatures: make([]segments[uint64, struct{}], len(plans()))}
	for i, p := range plans() {
		if err := t.miniatures[i].init(limit, p, &t.epoch, mix); err != nil {
			return nil, err
		}
	}
	t.hits = make([]float64, len(t.miniatures))
	t.sample.Store(1<<32 - 1)
	return t, nil
}

// chosen is the plan to follow.
func (t *tuner) chosen() plan { return t.miniatures[t.plan.Load()].plan }

// use plays one use of a key. Several at once are rare, and one is enough of a
// sample of them: it never waits.
func (t *tuner) use(hash uint64, bytes int64) {
	if uint32(hash) > t.sample.Load() || !t.mu.TryLock() {
		return
	}
	defer t.mu.Unlock()
	again := mix(hash) // what made the sample is no good hash in it
	for i := range t.miniatures {
		m := &t.miniatures[i]
		if n := m.find(again, hash); n != nil {
			n.use(t.epoch.now())
			t.hits[i]++
		} else if bytes <= m.limit {
			n := &node[uint64, struct{}]{key: hash, bytes: bytes}
			m.insert(again, n)
			t.out = m.settle(n, 0, t.out[:0])
		}
	}
	size := t.miniatures[0].live
	if size > maxSample {
		t.shrink()
	}
	t.uses++
	if t.since++; t.since > judgedAfter*size {
		t.judge()
	}
	if t.young--; t.young < 0 {
		t.young = agePeriod * size
		t.epoch.Add(1)
	}
}

// shrink halves the sample and the budgets of the miniatures with it.
func (t *tuner) shrink() {
	sample := t.sample.Load() / 2
	t.sample.Store(sample)
	for i := range t.miniatures {
		m := &t.miniatures[i]
		for n := range m.all() {
			if uint32(n.key) > sample {
				m.evict(n)
			}
		}
		t.fit(m)
	}
}

// judge takes the best plan when it is clearly better than the present one.
func (t *tuner) judge() {
	best := int(t.plan.Load())
	least := t.hits[best] + better*t.uses
	for i, hits := range t.hits {
		if hits > least {
			best, least = i, hits
		}
	}
	t.plan.Store(uint32(best))
	for i := range t.hits {
		t.hits[i] *= fade
	}
	t.uses *= fade
	t.since = 0
	t.awake.Store(false)
}
