package catalog_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"eshop/pkg/catalog"
)

func TestParseID(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1, "7": 7, "10": 10, "1234567890123456789": 1234567890123456789, "9223372036854775807": 1<<63 - 1,
		"": 0, "0": 0, "00": 0, "01": 0, "-1": 0, "+1": 0, " 1": 0, "1 ": 0, "1.0": 0, "1e3": 0, "0x1": 0, "1_0": 0, "１": 0, "a": 0, "1\x00": 0,
		"9223372036854775808": 0, "9999999999999999999": 0, "18446744073709551617": 0, "11111111111111111111": 0,
	} {
		got, err := catalog.ParseID(text)
		if got != want || (err == nil) != (want > 0) || err != nil && !errors.Is(err, catalog.ErrBadID) {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
		if b, ok := catalog.ParseIDBytes([]byte(text)); b != want || ok != (want > 0) {
			t.Errorf("%q as bytes: got %d, %v, want %d", text, b, ok, want)
		}
	}
	_, err := catalog.ParseID(strings.Repeat("9", 1<<20))
	if err == nil || len(err.Error()) > 300 {
		t.Error("the error of a very long id repeats it whole")
	}
}

func TestParseIDBytesAllocatesNothing(t *testing.T) {
	id := []byte("1234567890")
	if n := testing.AllocsPerRun(100, func() { catalog.ParseIDBytes(id) }); n != 0 {
		t.Errorf("it allocates %v times", n)
	}
}

func TestStatesHaveWords(t *testing.T) {
	for state, word := range map[catalog.State]string{catalog.Absent: "absent", catalog.Live: "live", catalog.Tombstone: "tombstone"} {
		if state.String() != word {
			t.Errorf("state %d: got %q, want %q", state, state, word)
		}
		if got, err := catalog.ParseState(word); got != state || err != nil {
			t.Errorf("%q: got %v, %v", word, got, err)
		}
	}
	for _, word := range []string{"", "Live", "state 3", "gone"} {
		if got, err := catalog.ParseState(word); err == nil {
			t.Errorf("%q: got %v, want an error", word, got)
		}
	}
	if got := catalog.State(9).String(); got != "state 9" {
		t.Errorf("an unknown state is %q", got)
	}
}

func FuzzParseID(f *testing.F) {
	for _, s := range []string{"1", "0", "-1", "9223372036854775807", "9223372036854775808", "01", "１"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := catalog.ParseID(text)
		b, ok := catalog.ParseIDBytes([]byte(text))
		if b != id || ok != (err == nil) {
			t.Fatalf("%q: as text %d %v, as bytes %d %v", text, id, err, b, ok)
		}
		// One document has one spelling: what is accepted is what FormatInt writes.
		n, perr := strconv.ParseInt(text, 10, 64)
		canonical := perr == nil && n > 0 && strconv.FormatInt(n, 10) == text
		if ok != canonical || ok && id != n {
			t.Fatalf("%q: got %d %v, but strconv says %d %v", text, id, err, n, perr)
		}
	})
}
