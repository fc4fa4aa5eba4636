package degrade

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

func textLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// model is the switches in the plainest form: a list of all that was ever seen.
type model struct{ seen []sighting }

// sighting is a switch and for how long it was known: nobody has it in its list
// any more from gone on.
type sighting struct {
	Switch
	at   time.Time
	gone bool
}

func (m *model) has(kind string, mode Modes, now time.Time) bool {
	for _, s := range m.seen {
		within := now.UnixMilli() < s.Until && now.Sub(s.at).Milliseconds() < s.Until-s.Since
		if !s.gone && s.Mode == mode && (s.Kind == kind || s.Kind == Every) && within {
			return true
		}
	}
	return false
}

// Random schedules of set, clear and time passing, for processes whose clocks
// agree with the operator's and for such that are behind or ahead, hold against
// the model at every step; waiters are woken by every change and by nothing else.
func TestStateAgainstModel(t *testing.T) {
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) { againstModel(t, seed) })
	}
}

func againstModel(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 7))
	// The operator's clock is not the process's, which is that of the bubble.
	skew := []time.Duration{0, 0, 3 * time.Second, -3 * time.Second, -time.Hour}[r.IntN(5)]
	kinds := []string{"product", "shop", Every}
	var s State
	var m model
	nodes := map[string]Switch{}
	for step := range 60 {
		waiting, before := s.Changed(), fmt.Sprint(s.Switches())
		changed := false
		switch r.IntN(4) {
		case 0: // an operator sets
			since := time.Now().Add(skew).UnixMilli()
			sw := Switch{Kind: kinds[r.IntN(3)], Mode: All()[r.IntN(2)], By: fmt.Sprint(step), Since: since, Until: since + 1000 + r.Int64N(9000)}
			nodes[sw.node()] = sw
			for i := range m.seen {
				m.seen[i].gone = m.seen[i].gone || m.seen[i].node() == sw.node()
			}
			m.seen = append(m.seen, sighting{Switch: sw, at: time.Now()})
			changed = s.Replace(list(nodes), time.Now())
		case 1: // an operator clears
			sw := Switch{Kind: kinds[r.IntN(3)], Mode: All()[r.IntN(2)]}
			delete(nodes, sw.node())
			for i := range m.seen {
				m.seen[i].gone = m.seen[i].gone || m.seen[i].node() == sw.node()
			}
			changed = s.Replace(list(nodes), time.Now())
		default:
			time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
			changed = s.Tick(time.Now())
		}
		for _, kind := range kinds[:2] {
			for _, mode := range All() {
				want := m.has(kind, mode, time.Now())
				if got := s.Of(kind).Has(mode); got != want {
					t.Fatalf("seed %d, step %d: %s has %v: got %v, want %v", seed, step, kind, mode, got, want)
				}
				err := s.Forbids(kind, mode)
				if (err != nil) != want {
					t.Fatalf("seed %d, step %d: %s forbids %v: %v, want %v", seed, step, kind, mode, err, want)
				}
				if err != nil && (err.RetryAfter() < time.Second || err.RetryAfter() > maxRetry || err.Switch.Mode != mode) {
					t.Fatalf("seed %d, step %d: %v, again after %v", seed, step, err, err.RetryAfter())
				}
			}
		}
		woken := false
		select {
		case <-waiting:
			woken = true
		default:
		}
		if is := fmt.Sprint(s.Switches()) != before; woken != is || changed != is {
			t.Fatalf("seed %d, step %d: woken %v, told %v, want %v", seed, step, woken, changed, is)
		}
	}
}

func list(nodes map[string]Switch) (all []Switch) {
	for _, sw := range nodes {
		all = append(all, sw)
	}
	return all
}

// A clock that is behind, by however much, does not prolong a switch beyond its
// length; one that is ahead shortens it.
func TestSkewedClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tc := range []struct{ ahead, want time.Duration }{{0, 10 * time.Second}, {-time.Hour, 10 * time.Second}, {4 * time.Second, 6 * time.Second}, {time.Minute, 0}} {
			var s State
			since := time.Now().Add(-tc.ahead).UnixMilli() // by the operator's clock
			s.Replace([]Switch{{Kind: "product", Mode: NoOrigin, Since: since, Until: since + 10_000}}, time.Now())
			began := time.Now()
			for s.Of("product") != 0 {
				time.Sleep(100 * time.Millisecond)
				s.Tick(time.Now())
			}
			if got := time.Since(began); got < tc.want || got > tc.want+100*time.Millisecond {
				t.Errorf("a clock %v ahead: in effect for %v, want %v", tc.ahead, got, tc.want)
			}
		}
	})
}
