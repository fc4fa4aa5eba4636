package window_test

import (
	"math/rand/v2"
	"testing"

	"eshop/pkg/window"
)

// bench adds ids at 125,000 events a second, an eighth of a million for one of 8
// partitions: what leaves the window is part of the cost.
func bench(b *testing.B, ids []int64) {
	w := open(b, window.Config{})
	at, i := int64(1_700_000_000_000)*125, 0
	add := func() {
		at++
		if i++; i == len(ids) {
			i = 0
		}
		w.Add(ids[i], 1, at/125)
	}
	for range 2_000_000 { // a window and more
		add()
	}
	b.ReportAllocs()
	for b.Loop() {
		add()
	}
	b.ReportMetric(float64(w.Distinct()), "keys")
}

func BenchmarkAdd(b *testing.B) {
	b.Run("onekey", func(b *testing.B) { bench(b, []int64{7}) })
	b.Run("hot1k", func(b *testing.B) { bench(b, draw(newZipf(1000, 1.05, 1), 1<<20)) })
	b.Run("zipf100k", func(b *testing.B) { bench(b, draw(newZipf(100_000, 1.05, 1), 1<<22)) })
	b.Run("uniform10M", func(b *testing.B) {
		rnd := rand.New(rand.NewPCG(1, 2))
		ids := make([]int64, 1<<22)
		for i := range ids {
			ids[i] = rnd.Int64N(10_000_000)
		}
		bench(b, ids)
	})
}

// filled is a window with keys of 1,000 events each and cold ones of one.
func filled(b *testing.B, keys, coldKeys int) *window.Window {
	w := open(b, window.Config{})
	for i := range keys {
		w.Add(int64(i), 1000+int64(i%100), 1_700_000_000_000+int64(i%9000))
	}
	for i := range coldKeys {
		w.Add(int64(keys+i), 1, 1_700_000_000_000+int64(i%9000))
	}
	return w
}

func BenchmarkEvaluate(b *testing.B) {
	for _, c := range []struct {
		name       string
		keys, cold int
	}{{"12k at the floor", 12_000, 0}, {"200 hot of 100k", 200, 100_000}} {
		b.Run(c.name, func(b *testing.B) {
			w := filled(b, c.keys, c.cold)
			d := window.NewDetector()
			r := window.Rule{Floor: 200, Factor: 10, Cool: 0.5, Max: 256}
			d.Evaluate(w, r)
			b.ReportAllocs()
			for b.Loop() {
				d.Evaluate(w, r)
			}
			b.ReportMetric(float64(len(d.Hot())), "hot")
		})
	}
}

func BenchmarkTop(b *testing.B) {
	w := filled(b, 5000, 100_000)
	var dst []window.Count
	b.ReportAllocs()
	for b.Loop() {
		dst = w.Top(2000, dst)
	}
}

func BenchmarkColdMean(b *testing.B) {
	w := filled(b, 5000, 90_000)
	b.ReportAllocs()
	for b.Loop() {
		w.ColdMean()
	}
}
