package accesslog_test

import (
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"eshop/pkg/accesslog"
)

func decodeCounts(t testing.TB, d *accesslog.Decoder, value []byte) accesslog.Counts {
	t.Helper()
	rec, err := d.Decode(value)
	if err != nil {
		t.Fatalf("decode %x: %v", value, err)
	}
	if rec.Shape != accesslog.ShapeCounts {
		t.Fatalf("%x: the shape is %d", value, rec.Shape)
	}
	return accesslog.Counts{Gateway: string(rec.Gateway), Boot: rec.Boot, Sequence: rec.Sequence, Time: rec.Time, Counts: rec.Counts}
}

func sum(counts []accesslog.Count) (n int64) {
	for _, c := range counts {
		n += c.N
	}
	return n
}

// randomCounts is a valid record; its numbers are of every length.
func randomCounts(r *rand.Rand) *accesslog.Counts {
	some := func() int64 { return r.Int64() >> r.IntN(63) }
	c := &accesslog.Counts{Gateway: strings.Repeat("g", r.IntN(40)), Boot: some(), Sequence: r.Uint64() >> r.IntN(64), Time: some()}
	id, left := int64(0), int64(accesslog.MaxHits)
	for range r.IntN(50) {
		delta := max(some(), 1)
		if id > math.MaxInt64-delta {
			break
		}
		id += delta
		n := max(min(some()>>23, left-50), 1)
		left -= n
		c.Counts = append(c.Counts, accesslog.Count{ID: id, N: n})
	}
	return c
}

// What is on the wire does not change: this is a record of version 1.
func TestCountsOnTheWire(t *testing.T) {
	c := &accesslog.Counts{Gateway: "gw-1", Boot: 1, Sequence: 2, Time: 1_760_000_000_000, Counts: []accesslog.Count{{ID: 1, N: 1}, {ID: 300, N: 7}, {ID: 301, N: 200}}}
	const want = "c701" + "d001" + "03" + "8080b3c19c33" + "01" + "02" + "0467772d31" + "0101" + "ab0207" + "01c801"
	value := accesslog.AppendCounts([]byte("before"), c)
	if got := hex.EncodeToString(value[len("before"):]); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	raw, err := hex.DecodeString(want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*c, decodeCounts(t, &accesslog.Decoder{}, raw)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCountsRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var d accesslog.Decoder
	check := func(c *accesslog.Counts) {
		value := accesslog.AppendCounts(nil, c)
		got := decodeCounts(t, &d, value)
		if len(got.Counts) == 0 {
			got.Counts = c.Counts
		}
		if diff := cmp.Diff(*c, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		if got, want := accesslog.Hits(value), sum(c.Counts); got != want {
			t.Fatalf("%x stands for %d hits, want %d", value, got, want)
		}
	}
	check(&accesslog.Counts{})
	check(&accesslog.Counts{Sequence: math.MaxUint64, Time: math.MaxInt64, Boot: math.MaxInt64, Counts: []accesslog.Count{{ID: math.MaxInt64, N: accesslog.MaxHits}}})
	for range 2000 {
		check(randomCounts(r))
	}
}

// A record cut off anywhere is refused, and so is one with more behind it.
func TestCountsCutOff(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	var d accesslog.Decoder
	for range 200 {
		value := accesslog.AppendCounts(nil, randomCounts(r))
		for n := range value {
			if rec, err := d.Decode(value[:n]); !errors.Is(err, accesslog.ErrMalformed) {
				t.Fatalf("%x of %x: got %+v, %v", value[:n], value, rec, err)
			}
		}
		if rec, err := d.Decode(append(value, 0)); !errors.Is(err, accesslog.ErrMalformed) {
			t.Fatalf("%x and a byte: got %+v, %v", value, rec, err)
		}
	}
}

func TestCountsRefused(t *testing.T) {
	one := func(c ...accesslog.Count) []byte { return accesslog.AppendCounts(nil, &accesslog.Counts{Counts: c}) }
	changed := func(at int, to byte) []byte {
		value := one(accesslog.Count{ID: 5, N: 2}, accesslog.Count{ID: 6, N: 1})
		value[at] = to
		return value
	}
	many := make([]accesslog.Count, accesslog.MaxCounts+1)
	for i := range many {
		many[i] = accesslog.Count{ID: int64(i + 1), N: 1}
	}
	for name, value := range map[string][]byte{
		"version":                changed(1, 2),
		"total too low":          changed(2, 2),
		"total too high":         changed(2, 4),
		"fewer entries":          changed(3, 1),
		"more entries":           changed(3, 3),
		"gateway beyond the end": changed(7, 200),
		"first id 0":             changed(8, 0),
		"second id the same":     changed(10, 0),
		"no hits":                one(accesslog.Count{ID: 5, N: 0}),
		"negative hits":          one(accesslog.Count{ID: 5, N: -1}),
		"hits that wrap around":  one(accesslog.Count{ID: 5, N: math.MaxInt64}, accesslog.Count{ID: 6, N: math.MaxInt64}, accesslog.Count{ID: 7, N: 5}),
		"descending":             one(accesslog.Count{ID: 5, N: 1}, accesslog.Count{ID: 4, N: 1}),
		"negative id":            one(accesslog.Count{ID: -5, N: 1}),
		"id beyond int64":        one(accesslog.Count{ID: math.MaxInt64, N: 1}, accesslog.Count{ID: math.MinInt64, N: 1}),
		"too many hits":          one(accesslog.Count{ID: 1, N: accesslog.MaxHits}, accesslog.Count{ID: 2, N: 1}),
		"too many products":      one(many...),
		"time before 1970":       accesslog.AppendCounts(nil, &accesslog.Counts{Time: -1}),
		"boot before 1970":       accesslog.AppendCounts(nil, &accesslog.Counts{Boot: -1}),
		"endless varint":         append([]byte{0xc7, 1}, strings.Repeat("\xff", 80)...),
	} {
		var d accesslog.Decoder
		if rec, err := d.Decode(value); !errors.Is(err, accesslog.ErrMalformed) {
			t.Errorf("%s: got %+v, %v", name, rec, err)
		}
	}
}

// A few bytes that speak of many entries allocate little, and a decoder never
// keeps room for more than MaxCounts.
func TestCountsMemoryIsBounded(t *testing.T) {
	lie := []byte{0xc7, 1, 0x80, 0x80, 2, 0x80, 0x80, 2, 1, 1, 1, 0} // 32768 products, 32768 hits
	var d accesslog.Decoder
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		if _, err := d.Decode(lie); !errors.Is(err, accesslog.ErrMalformed) {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / 100; each > 4096 { // 200 for the error; the entries would be 512 KiB
		t.Errorf("a record of %d bytes made the decoder allocate %d", len(lie), each)
	}
	longest := longestCounts()
	value := accesslog.AppendCounts(nil, longest)
	if len(value) >= 400_000 {
		t.Errorf("%d entries take %d bytes", len(longest.Counts), len(value))
	}
	got := decodeCounts(t, &d, value)
	if !slices.Equal(got.Counts, longest.Counts) || cap(got.Counts) > 2*accesslog.MaxCounts {
		t.Errorf("got %d entries in room for %d", len(got.Counts), cap(got.Counts))
	}
}

// longestCounts has as many and as long entries as a record can have.
func longestCounts() *accesslog.Counts {
	c := &accesslog.Counts{Gateway: "gateway", Boot: math.MaxInt64, Sequence: math.MaxUint64, Time: math.MaxInt64}
	id := int64(0)
	for i := range accesslog.MaxCounts {
		n := int64(1 << 21)
		if i < 3<<10 {
			n = 1 << 28
		}
		id += 1<<48 - 1
		c.Counts = append(c.Counts, accesslog.Count{ID: id, N: n})
	}
	return c
}

// Whatever bytes follow the magic, the decoder returns: counts that keep the
// rules and have as many hits as Hits says, and that encode to a record of the same
// meaning; or an error.
func FuzzDecodeCounts(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 3))
	for range 20 {
		f.Add(accesslog.AppendCounts(nil, randomCounts(r))[1:])
	}
	f.Add([]byte{1, 0x80, 0x80, 2, 0x80, 0x80, 2, 1, 1, 1, 0})
	f.Fuzz(func(t *testing.T, rest []byte) {
		value := append([]byte{0xc7}, rest...)
		var d accesslog.Decoder
		rec, err := d.Decode(value)
		if err != nil {
			if !errors.Is(err, accesslog.ErrMalformed) || rec.Counts != nil {
				t.Fatalf("%x: got %+v, %v", value, rec, err)
			}
			return
		}
		last := int64(0)
		for _, c := range rec.Counts {
			if c.ID <= last || c.N < 1 {
				t.Fatalf("%x: got %+v", value, rec.Counts)
			}
			last = c.ID
		}
		if got := sum(rec.Counts); got != accesslog.Hits(value) || got > accesslog.MaxHits || len(rec.Counts) > len(value)/2 {
			t.Fatalf("%x: %d hits of %d entries, Hits says %d", value, got, len(rec.Counts), accesslog.Hits(value))
		}
		again := decodeCounts(t, &accesslog.Decoder{}, accesslog.AppendCounts(nil, &accesslog.Counts{
			Gateway: string(rec.Gateway), Boot: rec.Boot, Sequence: rec.Sequence, Time: rec.Time, Counts: rec.Counts}))
		if !slices.Equal(again.Counts, rec.Counts) || again.Gateway != string(rec.Gateway) || again.Sequence != rec.Sequence || again.Time != rec.Time || again.Boot != rec.Boot {
			t.Fatalf("%x: got %+v, then %+v", value, rec, again)
		}
	})
}

// Any counts a gateway can have come back as they were.
func FuzzCountsRoundTrip(f *testing.F) {
	f.Add("gateway-1", int64(1), uint64(2), int64(3), uint64(4))
	f.Add("", int64(math.MaxInt64), uint64(math.MaxUint64), int64(0), uint64(0))
	f.Fuzz(func(t *testing.T, gateway string, boot int64, sequence uint64, at int64, seed uint64) {
		c := randomCounts(rand.New(rand.NewPCG(seed, 0)))
		gateway = gateway[:min(len(gateway), accesslog.MaxGateway)] // a longer one is refused: TestGatewayOfCountsIsBounded
		c.Gateway, c.Boot, c.Sequence, c.Time = gateway, boot&math.MaxInt64, sequence, at&math.MaxInt64
		got := decodeCounts(t, &accesslog.Decoder{}, accesslog.AppendCounts(nil, c))
		if len(got.Counts) == 0 {
			got.Counts = c.Counts
		}
		if diff := cmp.Diff(*c, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// A gateway's id is bounded: readers remember every one they have seen.
func TestGatewayOfCountsIsBounded(t *testing.T) {
	var d accesslog.Decoder
	for _, length := range []int{accesslog.MaxGateway, accesslog.MaxGateway + 1} {
		value := accesslog.AppendCounts(nil, &accesslog.Counts{Gateway: strings.Repeat("g", length), Boot: 1, Sequence: 1, Time: 1, Counts: []accesslog.Count{{ID: 1, N: 1}}})
		if _, err := d.Decode(value); (length > accesslog.MaxGateway) != errors.Is(err, accesslog.ErrMalformed) {
			t.Errorf("an id of %d bytes: %v", length, err)
		}
	}
}
