package simulation_test

import (
	"testing"

	"eshop/pkg/simulation"
)

// TestMutations takes the guards out of the simulated fleet, one at a time. Each
// time the checker finds a schedule that shows what the guard was for.
func TestMutations(t *testing.T) {
	for _, m := range []struct {
		name   string
		wiring simulation.Wiring
		within uint64 // schedules
	}{
		{"the floor", simulation.Wiring{NoFloor: true}, 2_000},
		{"the token", simulation.Wiring{ConstantToken: true}, 500},
		{"the compare", simulation.Wiring{PlainSet: true}, 500},
		{"a time in place of a mark", simulation.Wiring{Mark: true}, 2_000}, // the stopped gateway
	} {
		t.Run(m.name, func(t *testing.T) {
			first, given := seed(t)
			if given {
				replay(t, simulation.Config{Seed: first, Wiring: m.wiring})
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
