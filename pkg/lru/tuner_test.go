package lru

import "testing"

// A miniature may lose all of its window when the sample is halved, and goes on.
func TestShrinkEmptiesAWindow(t *testing.T) {
	c, err := newTuner(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(100) {
		c.use(1<<31+i<<8, 1000) // the half of the keys that leaves the sample
	}
	if n := c.miniatures[0].live; n != 100 {
		t.Fatalf("%d entries are played, want 100", n)
	}
	c.shrink()
	for i := range c.miniatures {
		if n := c.miniatures[i].live; n != 0 {
			t.Errorf("miniature %d has %d entries, want none", i, n)
		}
	}
	c.use(1, 1000)
	if n := c.miniatures[0].live; n != 1 {
		t.Errorf("%d entries are played after it, want 1", n)
	}
}
