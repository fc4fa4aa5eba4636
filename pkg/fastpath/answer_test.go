package fastpath

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// writes notes how long each write was.
type writes struct {
	bytes.Buffer
	sizes []int
}

func (w *writes) Write(b []byte) (int, error) {
	w.sizes = append(w.sizes, len(b))
	return w.Buffer.Write(b)
}

// Whatever the parts, all of it is written in its order, and no write but the last leaves a record half empty.
func TestWriteRecords(t *testing.T) {
	for seed := range uint64(500) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		a := NewAnswer()
		var want []byte
		for range rnd.IntN(maxParts) {
			size := []int{rnd.IntN(300), rnd.IntN(20_000), record, record - 1, rnd.IntN(3) * record, rnd.IntN(100_000)}[rnd.IntN(6)]
			part := make([]byte, size)
			for i := range part {
				part[i] = byte(rnd.Uint32())
			}
			a.out, want = append(a.out, part), append(want, part...)
		}
		for range 2 { // the buffer is used again
			var got writes
			if err := a.writeRecords(&got); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Fatalf("seed %d: %d bytes were written, and not those %d", seed, got.Len(), len(want))
			}
			for i, n := range got.sizes {
				if n == 0 || n%record != 0 && i < len(got.sizes)-1 {
					t.Fatalf("seed %d: writes of %v bytes", seed, got.sizes)
				}
			}
		}
	}
}
