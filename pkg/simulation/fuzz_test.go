package simulation_test

import (
	"testing"

	"eshop/pkg/simulation"
)

// FuzzSchedule has the fuzzer choose: each byte is one choice, and the seed
// decides what is left.
func FuzzSchedule(f *testing.F) {
	f.Add(uint64(1), []byte{})
	f.Add(uint64(2), []byte("the master fails over while the holder of a lock is stopped"))
	r, err := simulation.NewRunner()
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(r.Close)
	f.Fuzz(func(t *testing.T, seed uint64, data []byte) {
		if got := r.Run(simulation.Config{Seed: seed, Choices: data}); got.Violation != "" {
			t.Fatal(got.Violation)
		}
	})
}
