package admission_test

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"eshop/pkg/admission"
)

func newRates(t *testing.T, cfg admission.RatesConfig) *admission.Rates {
	t.Helper()
	r, err := admission.NewRates(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRates(t *testing.T) {
	r := newRates(t, admission.RatesConfig{PerSecond: 10, Burst: 5})
	a, b := netip.MustParseAddr("2001:db8:1:2::1"), netip.MustParseAddr("2001:db8:1:2::ffff")
	now := time.Now()
	if _, spent := r.Spent(a, now); spent {
		t.Error("an address that nobody has seen has spent its rate")
	}
	for range 5 {
		r.Spend(a, now)
	}
	if wait, spent := r.Spent(b, now); !spent || wait != 100*time.Millisecond {
		t.Errorf("a neighbour in the same /64: %v, %v, want 100 ms", wait, spent)
	}
	if _, spent := r.Spent(netip.MustParseAddr("2001:db8:1:3::1"), now); spent {
		t.Error("a stranger has spent the rate too")
	}
	if _, spent := r.Spent(a, now.Add(150*time.Millisecond)); spent {
		t.Error("nothing comes back")
	}
	for range 100 { // under way already when the first was known to be in vain
		r.Spend(a, now)
	}
	if wait, spent := r.Spent(a, now); !spent || wait != 600*time.Millisecond {
		t.Errorf("the debt ends at a burst: %v, %v, want 600 ms", wait, spent)
	}
}

// TestRatesModel compares with a bucket of its own for each address: spent is
// said exactly when that has less than one.
func TestRatesModel(t *testing.T) {
	const perSecond, burst = 7.0, 9
	rnd := rand.New(rand.NewPCG(1, 2))
	r := newRates(t, admission.RatesConfig{PerSecond: perSecond, Burst: burst})
	type bucket struct {
		tokens float64
		at     time.Time
	}
	model := map[netip.Addr]*bucket{}
	now := time.Now()
	for range 50_000 {
		now = now.Add(time.Duration(rnd.IntN(20)) * time.Millisecond)
		a := netip.AddrFrom4([4]byte{192, 0, 2, byte(rnd.IntN(8))})
		m := model[a]
		if m == nil {
			m = &bucket{burst, now}
			model[a] = m
		}
		m.tokens, m.at = min(burst, m.tokens+perSecond*now.Sub(m.at).Seconds()), now
		_, spent := r.Spent(a, now)
		if near := m.tokens > 1-1e-6 && m.tokens < 1+1e-6; spent != (m.tokens < 1) && !near {
			t.Fatalf("%v with %v tokens: spent is %v", a, m.tokens, spent)
		}
		if rnd.IntN(3) > 0 {
			r.Spend(a, now)
			if m.tokens > -burst {
				m.tokens--
			}
		}
	}
}

// However many addresses come, the table keeps to its bytes, and each that was
// forgotten too early is counted.
func TestRatesAreBounded(t *testing.T) {
	const limit = 1 << 20
	r := newRates(t, admission.RatesConfig{PerSecond: 0.001, Bytes: limit})
	const n = 100_000
	now := time.Now()
	for i := range n {
		var b [16]byte
		b[0] = 0x20
		binary.BigEndian.PutUint32(b[4:], uint32(i))
		r.Spend(netip.AddrFrom16(b), now)
	}
	if have := r.Addresses(); have > limit/192 || have < limit/450 || uint64(have)+r.Forgotten() != n {
		t.Errorf("%d addresses are remembered and %d forgotten of %d", have, r.Forgotten(), n)
	}
}
