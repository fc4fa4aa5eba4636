package capacity_test

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"eshop/pkg/capacity"
)

// long asks for the full forms, which the README shows.
func long() bool { return os.Getenv("ESHOP_LONG") != "" }

func exponents() []float64 { return []float64{0.8, 1, 1.2} }

// small is a fleet with a hundredth of everything, and clocks that run twenty
// times as fast, for tests that take seconds. What its gateways own is twice what they
// have room for, as in the large one.
func small() capacity.Fleet {
	return capacity.Fleet{
		Gateways: 100, Products: 200_000, Rate: 50_000, Seed: 1, Caches: 4, L1Bytes: 20 << 20, CacheBytes: 8 << 20,
		SoftTTLMin: 30 * time.Second, SoftTTLMax: time.Minute, Refresh: 3 * time.Minute,
		ProductsPerShop: 100, Warm: 90 * time.Second, Measure: 30 * time.Second, Follow: 40 * time.Second,
	}
}

// TestFleet plays fleets, and checks what has to hold whatever the figures are.
func TestFleet(t *testing.T) {
	f := small()
	if long() {
		f = capacity.Fleet{Seed: 1, Gateways: 1000, L1Bytes: 256 << 20}
	}
	play := func(name string, f capacity.Fleet, exponents []float64) (outcomes []capacity.Outcome) {
		t.Run(name, func(t *testing.T) {
			var err error
			if outcomes, err = capacity.Simulate(f, exponents); err != nil {
				t.Fatal(err)
			}
			t.Logf("\n%s", capacity.Table(outcomes))
			check(t, f, outcomes)
		})
		return outcomes
	}
	usual := play("usual", f, exponents())
	f.L1Bytes *= 16 // room for all that a gateway owns
	more := play("memory", f, []float64{1})
	if len(usual) == 3 && len(more) == 1 && more[0].Levels.L1 < max(0.97, usual[1].Levels.L1) {
		t.Errorf("with 16 times the memory %v of the requests find their page in it, with the usual one %v", more[0].Levels.L1, usual[1].Levels.L1)
	}
}

func check(t *testing.T, f capacity.Fleet, outcomes []capacity.Outcome) {
	n := float64(f.Gateways)
	within := func(o *capacity.Outcome, name string, got, low, high float64) {
		t.Helper()
		if !(got >= low && got <= high) {
			t.Errorf("Zipf %v: %s is %v, want %v to %v", o.Exponent, name, got, low, high)
		}
	}
	for i := range outcomes {
		o := &outcomes[i]
		// The aim of hot products: no gateway has more than a quarter above the mean,
		// which without them does not hold.
		within(o, "the load of owners, max/mean", o.Owners.Answered, 1.25, n)
		within(o, "the load with hot products, max/mean", o.Spread.Answered, 1, 1.25)
		within(o, "the load after a loss, max/mean", o.Loss.Spread.Answered, 1, 1.25)
		within(o, "the load with one more, max/mean", o.Join.Spread.Answered, 1, 1.25)
		within(o, "the load in a surge until it is found, max/mean", o.Surge.Owner.Answered, 0.4*n, 0.6*n)
		within(o, "the load in a surge, max/mean", o.Surge.Spread.Answered, 1, 1.25)
		within(o, "the time until a surge is found, in s", o.Surge.Found.Seconds(), 0, 0.1)
		// Consistent hashing: products move to or from the gateways that come or go.
		within(o, "products that moved for nothing", float64(o.Loss.Strays+o.Join.Strays), 0, 0)
		within(o, "the share that moved off a tenth", o.Loss.Moved, 0.08, 0.12)
		within(o, "the share that moved to one more", o.Join.Moved*(n+1), 0.75, 1.25)
		// Levels are parts of a whole.
		l := &o.Levels
		within(o, "first", l.First, 0, l.L1)
		within(o, "first and forwarded", l.First+l.Forwarded, o.Hot.Share*l.HotL1, 1.0001)
		within(o, "L1 and built", l.L1+l.Built, l.L1, 1)
		within(o, "found in Redis", l.Found, 0.999, 1)
		within(o, "pulls", l.Pulls, l.Refreshed, l.Calls)
		within(o, "L1 in the end of a loss", o.Loss.After, l.L1-0.1, l.L1+0.01)
		within(o, "L1 of a new gateway, in the end", o.Join.After, l.L1-0.05, l.L1+0.05)
		within(o, "L1 of a new gateway, at first", o.Join.First, 0, o.Join.After)
		if i > 0 { // the steeper, the better for caches
			within(o, "L1", l.L1, outcomes[i-1].Levels.L1, 1)
			within(o, "forwarded", l.Forwarded, 0, outcomes[i-1].Levels.Forwarded)
		}
	}
}

// TestSameSeed: while no window is short of memory, everything is a function of
// the seed.
func TestSameSeed(t *testing.T) {
	f := small()
	f.Gateways, f.Products, f.Rate, f.Follow = 20, 20_000, 10_000, 10*time.Second
	run := func(seed uint64) []capacity.Outcome {
		f.Seed = seed
		o, err := capacity.Simulate(f, []float64{1})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	one := run(1)
	if !one[0].Hot.Exact {
		t.Fatal("the windows are short of memory, so this test proves nothing")
	}
	if diff := cmp.Diff(one, run(1)); diff != "" {
		t.Errorf("two runs of one seed differ (-first +second):\n%s", diff)
	}
	if cmp.Equal(one, run(2)) {
		t.Error("the seed decides nothing")
	}
}

func TestTooFewGateways(t *testing.T) {
	f := small()
	f.Gateways = 5
	if _, err := capacity.Simulate(f, exponents()); err == nil {
		t.Error("a tenth of 5 gateways was lost")
	}
}
