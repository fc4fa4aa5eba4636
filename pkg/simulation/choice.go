package simulation

import "math/rand/v2"

// choices is all that is not determined. Data decides as long as there is some;
// a fuzzer's input is a schedule.
type choices struct {
	data []byte
	rng  *rand.Rand
}

// below returns a number from 0 to n-1.
func (c *choices) below(n int) int {
	if n <= 1 {
		return 0
	}
	if len(c.data) > 0 {
		b := int(c.data[0])
		c.data = c.data[1:]
		return b % n
	}
	return c.rng.IntN(n)
}

// chance is true in one of n cases.
func (c *choices) chance(n int) bool { return c.below(n) == 0 }
