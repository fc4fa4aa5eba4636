package rediscluster

import (
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"eshop/pkg/catalog"
)

func FuzzDecodeHash(f *testing.F) {
	f.Add("{}", "0", "1700000000000", "4294967297", "modifiedTime", "live", "1700000000000", uint8(0))
	f.Add("", "9223372036854775807", "0", "9223372036854775808", "", "gone", "-1", uint8(0))
	f.Add("x", "+1", "01", " 2", "f", "LIVE", "1e3", uint8(0x7f))
	key := catalog.Key{Kind: "product", ID: 7}
	f.Fuzz(func(t *testing.T, b, e, v, tok, field, state, p string, missing uint8) {
		fields := []any{b, e, v, tok, field, state, p}
		for i := range fields {
			if missing&(1<<i) != 0 {
				fields[i] = nil
			}
		}
		d, err := ParseHash(key, fields)
		if d.Key != key {
			t.Fatalf("the key became %v", d.Key)
		}
		if err != nil {
			if d.State != catalog.Absent || d.Body != nil || !d.Stamp.IsZero() {
				t.Fatalf("an error with the document %+v", d)
			}
			return
		}
		if missing&0x7f == 0x7f {
			if d.State != catalog.Absent {
				t.Fatalf("nothing became %+v", d)
			}
			return
		}
		// What was read writes back to the same texts.
		if got := d.Stamp.String(); got != e+"."+v+"."+tok || d.Field != field && missing&16 == 0 {
			t.Fatalf("%q %q %q %q became %v and %q", e, v, tok, field, got, d.Field)
		}
		if d.State == catalog.Live && string(d.Body) != b && missing&1 == 0 || d.State == catalog.Tombstone && d.Body != nil || d.State == catalog.Absent {
			t.Fatalf("state %q and body %q became %v and %q", state, b, d.State, d.Body)
		}
		if !d.Pulled.IsZero() && strconv.FormatInt(d.Pulled.UnixMilli(), 10) != p {
			t.Fatalf("pulled %q became %v", p, d.Pulled)
		}
	})
}

func FuzzDecodeString(f *testing.F) {
	for _, s := range []string{`{"modifiedTime":"2017-01-01 00:00:00"}`, `{}`, `[]`, ``, `{"updateTime":9223372036854775807}`, "{\"a\":", "\x00"} {
		f.Add(s)
	}
	kind := catalog.Default().Kind("product")
	f.Fuzz(func(t *testing.T, body string) {
		d, err := decodeString(kind, catalog.Key{Kind: "product", ID: 7}, []byte(body))
		if err != nil {
			if d.State != catalog.Absent || d.Body != nil {
				t.Fatalf("an error with the document %+v", d)
			}
			return
		}
		if d.State != catalog.Live || string(d.Body) != body || d.Stamp.Epoch != 0 || d.Stamp.Token != 0 || d.Stamp.Version < 0 {
			t.Fatalf("%q became %+v", body, d)
		}
	})
}

// The script's numbers and the decoder's are the same set, or a value would be
// a document to one and not to the other.
func TestParseNumber(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "10": 10, "9223372036854775807": 1<<63 - 1, "9007199254740993": 1<<53 + 1,
		"": -1, "00": -1, "01": -1, "-1": -1, "+1": -1, "-0": -1, " 1": -1, "1 ": -1, "1.0": -1, "1e3": -1, "0x1": -1, "1_0": -1,
		"9223372036854775808": -1, "10000000000000000000": -1, "99999999999999999999": -1, "１": -1,
	} {
		got, ok := parseNumber(text)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("parseNumber(%q) = %d, %v, want %d", text, got, ok, want)
		}
	}
}

func TestTTLJitterStaysInRange(t *testing.T) {
	s := &Store{cfg: Config{TTLJitter: 0.1}}
	s.SetTTL(100 * time.Hour)
	low, high := 1000*time.Hour, time.Duration(0)
	for range 1000 {
		d := s.ttl()
		low, high = min(low, d), max(high, d)
	}
	if low < 90*time.Hour || high > 110*time.Hour || high-low < 15*time.Hour {
		t.Errorf("1000 lives lie between %v and %v, want 90 h to 110 h", low, high)
	}
}

func TestFingerprintIgnoresOrderAndReplicas(t *testing.T) {
	a, b, r := node("a"), node("b"), node("r")
	one := fingerprint(slotsOf(a, r, b))
	for name, tc := range map[string]struct {
		same bool
		got  uint64
	}{
		"another replica": {true, fingerprint(slotsOf(a, node("x"), b))},
		"other order":     {true, fingerprint(reversed(slotsOf(a, r, b)))},
		"other masters":   {false, fingerprint(slotsOf(b, r, a))},
		"replica leads":   {false, fingerprint(slotsOf(r, a, b))},
	} {
		if (tc.got == one) != tc.same {
			t.Errorf("%s: the same fingerprint: %v, want %v", name, tc.got == one, tc.same)
		}
	}
}

// What the library has read of a body is the body, not copied once more.
func TestParseHashCopiesNoBody(t *testing.T) {
	const size, times = 1 << 20, 20
	fields := []any{strings.Repeat("x", size), "0", "1", "2", "modifiedTime", "live", "3"}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range times {
		d, err := ParseHash(catalog.Key{Kind: "product", ID: 1}, fields)
		if err != nil || len(d.Body) != size {
			t.Fatalf("%d bytes, %v", len(d.Body), err)
		}
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > size*times/2 {
		t.Errorf("%d bytes were allocated for %d bodies of %d", n, times, size)
	}
}
