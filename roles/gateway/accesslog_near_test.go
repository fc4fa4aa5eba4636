package gateway

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Against the hits themselves: a product never seems rarer than half of its hits
// within the last half window. Alone in its cell it never seems more frequent than
// its hits of the last two windows and an eighth of all before them.
func TestNearModel(t *testing.T) {
	for seed := range uint64(5) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		var n near
		n.init()
		now := time.Unix(1_700_000_000, 0)
		type hit struct {
			at time.Time
			n  int64
		}
		var hits []hit
		within := func(d time.Duration) (sum int64) {
			for _, h := range hits {
				if now.Sub(h.at) < d {
					sum += h.n
				}
			}
			return sum
		}
		for range 400 {
			now = now.Add(time.Duration(rnd.IntN(200)) * time.Millisecond)
			if rnd.IntN(50) == 0 {
				now = now.Add(time.Duration(rnd.IntN(20)) * time.Second)
			}
			n.age(now)
			h := hit{now, 1 + rnd.Int64N(9)}
			hits = append(hits, h)
			got := n.add(7, h.n)
			// What is younger than nearHalf was halved once at most, what is older than
			// four of them four times at least.
			if least, most := within(nearHalf)/2, within(4*nearHalf)+within(time.Hour)/8; got < least || got > most {
				t.Fatalf("seed %d: %d, want %d to %d", seed, got, least, most)
			}
		}
		now = now.Add(time.Minute)
		n.age(now)
		if got := n.add(7, 1); got > 2 {
			t.Errorf("seed %d: after a minute %d are left", seed, got)
		}
	}
}

// Counts are bounded, and a clock that goes back stops nothing for long.
func TestNearLimits(t *testing.T) {
	var n near
	n.init()
	now := time.Unix(1_700_000_000, 0)
	n.age(now)
	for range 10 {
		if got := n.add(1, 1<<40); got != 1<<31 {
			t.Fatalf("%d, want the bound", got)
		}
	}
	n.age(now.Add(-time.Hour))
	if got := n.add(2, 8); got != 8 {
		t.Errorf("%d, want 8", got)
	}
	n.age(now.Add(2*nearHalf - time.Hour))
	if got := n.add(2, 1); got != 3 {
		t.Errorf("%d by a clock that went back, want two halvings of 8 and 1", got)
	}
	n.age(now.Add(time.Hour))
	if got := n.add(1, 1); got != 1 {
		t.Errorf("an hour later %d, want 1", got)
	}
}

func TestNearRange(t *testing.T) {
	for _, c := range []struct {
		floor    int64
		gateways int
		from, to int64
	}{
		{200, 1, 50, 400},
		{200, 3, 16, 400},
		{200, 1000, minNear, 400},
		{1, 1, minNear, minNear + 1},
		{1 << 40, 4, 1 << 36, 1 << 41},
	} {
		if from, to := nearRange(c.floor, c.gateways); from != c.from || to != c.to {
			t.Errorf("floor %d, %d gateways: from %d to %d, want from %d to %d", c.floor, c.gateways, from, to, c.from, c.to)
		}
	}
}

// Steady products, however many, do not make partitions urgent; one that reaches
// the floor within a second or less does at nearly every sweep.
func TestHeating(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 4))
	share := func(perSecond float64, recent func(sweep int) float64) float64 {
		const sweeps = 20_000
		urgent := 0
		for i := range sweeps {
			if heating(int64(recent(i)), poisson(rnd, perSecond*sweepEvery.Seconds())) {
				urgent++
			}
		}
		return float64(urgent) / sweeps
	}
	for _, rate := range []float64{6, 10, 20, 40, 100} {
		if got := share(rate, func(int) float64 { return rate * nearHalf.Seconds() }); got > 0.004 {
			t.Errorf("a steady product with %v hits a second is taken for heating at %.2f %% of the sweeps", rate, 100*got)
		}
	}
	for _, rate := range []float64{330, 1000, 5000} {
		if got := share(rate, func(i int) float64 { return float64(i%10+1) * rate * sweepEvery.Seconds() }); got < 0.9 {
			t.Errorf("a product that begins with %v hits a second is taken for heating at %.0f %% of its first sweeps only", rate, 100*got)
		}
	}
}

// poisson draws the number of hits in an interval that has mean of them on average.
func poisson(rnd *rand.Rand, mean float64) (n int64) {
	for p := rnd.ExpFloat64(); p < mean; p += rnd.ExpFloat64() {
		n++
	}
	return n
}
