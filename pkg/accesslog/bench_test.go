package accesslog_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"eshop/pkg/accesslog"
)

// aggregated is a record as a busy gateway sends it: n products of 100,000, most
// of them asked for once.
func aggregated(n int) *accesslog.Counts {
	r := rand.New(rand.NewPCG(3, 4))
	c := &accesslog.Counts{Gateway: "gateway-1", Boot: 1_760_000_000_000, Sequence: 77, Time: 1_760_000_123_456}
	id := int64(0)
	for range n {
		id += r.Int64N(int64(200_000/n)) + 1
		hits := int64(1)
		if r.IntN(8) == 0 {
			hits = r.Int64N(300) + 1
		}
		c.Counts = append(c.Counts, accesslog.Count{ID: id, N: hits})
	}
	return c
}

func BenchmarkDecode(b *testing.B) {
	for _, w := range writers() {
		records, ids, mean := seedRecords(w, 1024)
		b.Run("seed/"+w.name, func(b *testing.B) {
			b.ReportAllocs()
			var d accesslog.Decoder
			i := 0
			for b.Loop() {
				i = (i + 1) & 1023
				rec, err := d.Decode(records[i])
				if err != nil || rec.Shape != accesslog.ShapeRequest || rec.Counts[0].ID != ids[i] {
					b.Fatalf("%s: got %+v, %v", records[i], rec, err)
				}
			}
			b.ReportMetric(float64(mean), "B/record")
		})
	}
	for _, n := range []int{10, 1000} {
		value := accesslog.AppendCounts(nil, aggregated(n))
		b.Run(fmt.Sprintf("counts/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			var d accesslog.Decoder
			for b.Loop() {
				if rec, err := d.Decode(value); err != nil || len(rec.Counts) != n {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/entry")
			b.ReportMetric(float64(len(value))/float64(n), "B/entry")
		})
	}
	records, ids, mean := seedRecords(writers()[0], 1024)
	for i := range records { // an escaped name is left to the full decoder
		records[i] = append([]byte(`{"\u0075nknown":0,`), records[i][1:]...)
	}
	b.Run("fallback", func(b *testing.B) {
		b.ReportAllocs()
		var d accesslog.Decoder
		i := 0
		for b.Loop() {
			i = (i + 1) & 1023
			rec, err := d.Decode(records[i])
			if err != nil || rec.Shape != accesslog.ShapeForeign || rec.Counts[0].ID != ids[i] {
				b.Fatalf("%s: got %+v, %v", records[i], rec, err)
			}
		}
		b.ReportMetric(float64(mean), "B/record")
	})
}

func BenchmarkHits(b *testing.B) {
	value := accesslog.AppendCounts(nil, aggregated(1000))
	b.ReportAllocs()
	for b.Loop() {
		if accesslog.Hits(value) == 0 {
			b.Fatal("no hits")
		}
	}
}

func BenchmarkAppendCounts(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := aggregated(n)
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				buf = accesslog.AppendCounts(buf[:0], c)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/entry")
		})
	}
}

// A browser's request, two of its headers are hidden; and the most work that 16 KiB
// of request line can make.
func BenchmarkAppendRequest(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	heads := make([][]byte, 1024)
	for i := range heads {
		heads[i] = append(browser(r), "Cookie: session=0123456789abcdef0123456789abcdef\r\nX-Api-Key: 0123456789abcdef\r\n\r\n"...)
	}
	worst := request(12345, heads[0])
	worst.Target = []byte("/product/12345?")
	for i := range 100 { // long names that differ at the end and have an escape
		worst.Target = fmt.Appendf(worst.Target, "%0150d%%20%d=1&", 0, i)
	}
	for name, req := range map[string]*accesslog.Request{"browser": request(12345, nil), "worst": worst} {
		b.Run(name, func(b *testing.B) {
			redact := accesslog.NewRedaction("X-Api-Key")
			var buf []byte
			total, i := 0, 0
			b.ReportAllocs()
			for b.Loop() {
				i = (i + 1) & 1023
				req.Head = heads[i]
				buf = accesslog.AppendRequest(buf[:0], req, redact)
				total += len(buf)
			}
			b.ReportMetric(float64(total)/float64(b.N), "B/record")
		})
	}
}

func BenchmarkPartition(b *testing.B) {
	b.ReportAllocs()
	id := int64(1)
	for b.Loop() {
		if id += 7919; accesslog.Partition(id, 8) < 0 {
			b.Fatal("no partition")
		}
	}
}
