package lru

import (
	"math/rand/v2"
	"sync"
	"testing"
)

// The index does what a map does, through deletions and rebuilding.
func TestIndexIsAMap(t *testing.T) {
	for name, hash := range map[string]func(int) uint64{
		"good": func(k int) uint64 { return mix(uint64(k)) }, "four chains": func(k int) uint64 { return uint64(k % 4) },
	} {
		rnd := rand.New(rand.NewPCG(1, 1))
		var x index[int, int]
		x.init()
		want := map[int]*node[int, int]{}
		for step := range 20_000 {
			k := rnd.IntN(200)
			old := want[k]
			if got := x.find(hash(k), k); got != old {
				t.Fatalf("%s, step %d: found %p for %d, want %p", name, step, got, k, old)
			}
			n := &node[int, int]{key: k}
			switch {
			case old == nil:
				x.add(hash(k), n, hash)
				want[k] = n
			case rnd.IntN(2) == 0:
				x.swap(hash(k), old, n)
				want[k] = n
			default:
				x.swap(hash(k), old, nil)
				delete(want, k)
			}
			if x.live != len(want) {
				t.Fatalf("%s, step %d: counts %d, want %d", name, step, x.live, len(want))
			}
		}
		if slots := len(*x.table.Load()); slots > 2048 {
			t.Errorf("%s: %d slots for at most 200 entries: marks are not reused", name, slots)
		}
	}
}

// Readers without a lock find what stays, whatever comes and goes around it.
func TestIndexReadersMissNothing(t *testing.T) {
	hash := func(k int) uint64 { return mix(uint64(k)) }
	var x index[int, int]
	x.init()
	for k := range 100 {
		x.add(hash(k), &node[int, int]{key: k, value: -1}, hash)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			for {
				for k := range 100 {
					if n := x.find(hash(k), k); n == nil || n.key != k {
						t.Errorf("found %v for %d, which is there all the time", n, k)
						return
					}
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	rnd := rand.New(rand.NewPCG(2, 2))
	for range 50_000 {
		k := rnd.IntN(100)
		x.swap(hash(k), x.find(hash(k), k), &node[int, int]{key: k})
		k = 100 + rnd.IntN(1000)
		if n := x.find(hash(k), k); n != nil {
			x.swap(hash(k), n, nil)
		} else {
			x.add(hash(k), &node[int, int]{key: k}, hash)
		}
	}
	close(stop)
	wg.Wait()
}

func TestGhostsAreRememberedAndFade(t *testing.T) {
	var g ghosts
	if got := g.recall(mix(1), 0); got != 0 {
		t.Errorf("an empty table recalls %d", got)
	}
	g.grow(100)
	for k := range uint64(100) {
		g.remember(mix(k), 6, 250)
	}
	g.grow(5000) // what is remembered is found in the larger table too
	for _, c := range []struct {
		epoch, want uint8
	}{{250, 6}, {251, 3}, {252, 1}, {253, 0}, {2, 0}} { // 2 is eight later
		known := 0
		for k := range uint64(100) {
			if g.recall(mix(k), c.epoch) == c.want {
				known++
			}
		}
		if known < 95 {
			t.Errorf("in epoch %d: %d of 100 keys are known with %d uses", c.epoch, known, c.want)
		}
	}
	g.remember(mix(7), 2, 251)
	if got := g.recall(mix(7), 251); got != 2 {
		t.Errorf("a key that was remembered again has %d uses, want 2", got)
	}
}

func TestDefaultShards(t *testing.T) {
	for bytes, want := range map[int64]int{Overhead: 1, 1 << 18: 1, 1 << 19: 2, 4 << 20: 16, 16 << 20: 64, 1 << 40: 64} {
		c, err := New(Config[int, int]{Bytes: bytes, Hash: func(k int) uint64 { return uint64(k) }})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(c.shards); got != want {
			t.Errorf("%d bytes: got %d shards, want %d", bytes, got, want)
		}
	}
}
