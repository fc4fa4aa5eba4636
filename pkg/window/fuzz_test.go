package window_test

import (
	"encoding/binary"
	"testing"
	"time"

	"eshop/pkg/window"
)

// Whatever is added in whatever order, nothing panics, what is inside adds up, the
// memory stays what it was, and no count is above the truth.
func FuzzWindow(f *testing.F) {
	f.Add(uint64(1), []byte{0, 1, 1, 0, 0, 1, 2, 0, 0, 9, 200, 3, 5, 0, 0, 1})
	f.Add(uint64(2), []byte{6, 255, 255, 0, 6, 255, 255, 1, 6, 7, 255, 2, 3, 1, 255, 2, 6, 90, 255, 9})
	f.Add(uint64(3), []byte{4, 255, 255, 255, 4, 0, 0, 0, 5, 1, 9, 9, 2, 7, 7, 7})
	f.Fuzz(func(t *testing.T, hash uint64, data []byte) {
		w, err := window.Seeded(window.Config{Span: time.Second, Slice: 50 * time.Millisecond, Bytes: 42 << 10}, hash)
		if err != nil {
			t.Fatal(err)
		}
		m := &model{slice: 50, n: 20}
		d, bytes := window.NewDetector(), w.Bytes()
		for now := int64(1_000_000); len(data) >= 4 && len(m.events) < 20_000; data = data[4:] {
			id, x, y := int64(data[1]), int64(data[2]), int64(data[3])
			var all []event
			switch data[0] % 8 {
			case 0: // in order
				now += x
				all = []event{{id, y, now}}
			case 1: // late
				all = []event{{id, y, now - 8*x}}
			case 2: // very many
				all = []event{{id, x << (y % 64), now}}
			case 3: // anywhere
				at := int64(binary.LittleEndian.Uint32(data)) << (y % 40)
				all = []event{{id, 1, at - 1<<20}}
			case 4:
				now += x * y
				all = []event{{at: now}}
			case 5, 6: // many keys
				for i := range x {
					all = append(all, event{id<<8 + i, 1 + y%3, now - y%5*50})
				}
			case 7:
				rule := window.Rule{Floor: x, Factor: float64(y) / 8, Cool: 0.5, Hold: time.Duration(y), Max: int(id)}
				if d.Evaluate(w, rule); len(d.Hot()) > int(id) {
					t.Fatalf("%d hot keys, %d allowed", len(d.Hot()), id)
				}
			}
			for _, e := range all {
				e.n = min(e.n, window.MaxCount)
				if err := apply(w, m, e); err != nil {
					t.Fatal(err)
				}
			}
		}
		if w.Bytes() != bytes {
			t.Errorf("it holds %d bytes, and held %d", w.Bytes(), bytes)
		}
		if err := w.Check(); err != nil {
			t.Error(err)
		}
		if err := never(w, m); m.started && err != nil {
			t.Error(err)
		}
		if w.ColdMean() < 0 || w.Distinct() < 0 {
			t.Errorf("cold mean %v of %d keys", w.ColdMean(), w.Distinct())
		}
	})
}
