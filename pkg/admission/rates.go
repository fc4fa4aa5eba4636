package admission

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"eshop/pkg/lru"
)

// RatesConfig bounds what each address may do. Zero values mean the defaults.
type RatesConfig struct {
	// PerSecond is what an address may spend for ever (20), Burst what it may
	// save up (600).
	PerSecond float64
	Burst     int
	// Bytes bounds the table of addresses (8 MiB: some 20,000 of them). When it is
	// full the address that has spent nothing for longest is forgotten.
	Bytes int64
}

// Rates is a token bucket for each address. It is safe for concurrent use.
type Rates struct {
	cfg   RatesConfig
	mu    sync.Mutex // over cfg and Spend: two that come at once must not both make a bucket
	table *lru.Cache[netip.Addr, *rate.Limiter]
}

// bucketBytes is what a limiter takes on the heap.
const bucketBytes = 96

// NewRates returns an empty table.
func NewRates(cfg RatesConfig) (*Rates, error) {
	cfg.PerSecond = cmp.Or(cfg.PerSecond, 20)
	cfg.Burst = cmp.Or(cfg.Burst, 600)
	cfg.Bytes = cmp.Or(cfg.Bytes, 8<<20)
	table, err := lru.New(lru.Config[netip.Addr, *rate.Limiter]{Bytes: cfg.Bytes, Hash: hashAddr, LeastRecent: true})
	if err != nil {
		return nil, err
	}
	return &Rates{cfg: cfg, table: table}, nil
}

func hashAddr(a netip.Addr) uint64 {
	b := a.As16()
	h := binary.LittleEndian.Uint64(b[:8])*0x9e3779b97f4a7c15 ^ binary.LittleEndian.Uint64(b[8:])
	h *= 0xff51afd7ed558ccd
	return h ^ h>>32
}

// SetLimits changes the rate and what can be saved up, for all addresses at once; what they owe they still owe.
func (r *Rates) SetLimits(perSecond float64, burst int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cfg.PerSecond, r.cfg.Burst = perSecond, burst
	r.table.Range(func(_ netip.Addr, b *rate.Limiter) bool {
		b.SetLimit(rate.Limit(perSecond))
		b.SetBurst(burst)
		return true
	})
}

// Spent reports whether an address has nothing left, and when it will have. It
// changes nothing.
func (r *Rates) Spent(a netip.Addr, now time.Time) (wait time.Duration, spent bool) {
	b, ok := r.table.Get(Network(a))
	if !ok {
		return 0, false
	}
	missing := 1 - b.TokensAt(now)
	if missing <= 0 {
		return 0, false
	}
	return time.Duration(missing / float64(b.Limit()) * float64(time.Second)), true
}

// Spend takes one token from an address, one that it does not have too: what it
// did while nobody knew yet has to be paid back, so over time it does not get
// more than its rate. The debt ends at a Burst.
func (r *Rates) Spend(a netip.Addr, now time.Time) {
	key := Network(a)
	r.mu.Lock()
	defer r.mu.Unlock()
	b, ok := r.table.Get(key)
	if !ok {
		b = rate.NewLimiter(rate.Limit(r.cfg.PerSecond), r.cfg.Burst)
	}
	if b.TokensAt(now) > -float64(r.cfg.Burst) {
		b.ReserveN(now, 1)
	}
	// Once it is full again it need not be remembered.
	full := now.Add(time.Duration((float64(r.cfg.Burst) - b.TokensAt(now)) / r.cfg.PerSecond * float64(time.Second)))
	r.table.Put(key, b, bucketBytes, full)
}

// Addresses returns how many are remembered, Forgotten how many were dropped,
// before their bucket was full again, because the table was.
func (r *Rates) Addresses() int    { return r.table.Len() }
func (r *Rates) Forgotten() uint64 { return r.table.Evictions(lru.Capacity) }
