package simulation_test

import (
	"os"
	"testing"

	"eshop/pkg/simulation"
)

// TestMutations takes the guards out of the simulated fleet, one at a time. Each
// time the checker finds a schedule that shows what the guard was for.
func TestMutations(t *testing.T) {
	for _, m := range []struct {
		name   string
		wiring simulation.Wiring
		within uint64 // schedules; more than ten thousand: in the nightly form only
	}{
		{"the floor", simulation.Wiring{NoFloor: true}, 2_000},
		{"the token", simulation.Wiring{ConstantToken: true}, 500},
		{"the compare", simulation.Wiring{PlainSet: true}, 500},
		// What this model was there to find.
		{"announced repairs", simulation.Wiring{SilentRepairs: true}, 500_000},
		{"a time in place of a mark", simulation.Wiring{Mark: true}, 500_000},
	} {
		t.Run(m.name, func(t *testing.T) {
			first, given := seed(t)
			if given {
				replay(t, simulation.Config{Seed: first, Wiring: m.wiring})
				return
			}
			if m.within > 10_000 && os.Getenv("ESHOP_LONG") != "1" {
				return
			}
			bad, violation, _ := search(t, first, m.within, m.wiring)
			if violation == "" {
				t.Fatalf("%d schedules without %s violate nothing: the checker is blind to it", m.within, m.name)
			}
			t.Logf("without %s, seed %d: %s", m.name, bad, violation)
		})
	}
}
