package catalog_test

import (
	"encoding/json"
	"slices"
	"testing"

	"eshop/pkg/catalog"
)

func TestStampOrder(t *testing.T) {
	const top = 1<<63 - 1
	ascending := []catalog.Stamp{
		{}, {Token: 1}, {Token: top},
		{Version: 1}, {Version: 1, Token: 1}, {Version: 1, Token: top}, {Version: 2}, {Version: top, Token: top},
		{Epoch: 1}, {Epoch: 1, Token: 1}, {Epoch: 1, Version: 1}, {Epoch: 2}, {Epoch: top}, {Epoch: top, Version: top, Token: top},
	}
	for i, a := range ascending {
		for j, b := range ascending {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := a.Compare(b); got != want {
				t.Errorf("%v against %v: got %d, want %d", a, b, got, want)
			}
			if a.Less(b) != (want < 0) {
				t.Errorf("%v less than %v: got %v", a, b, a.Less(b))
			}
			if got := a.Max(b); got != ascending[max(i, j)] {
				t.Errorf("the higher of %v and %v: got %v", a, b, got)
			}
		}
		if a.IsZero() != (i == 0) {
			t.Errorf("%v is zero: got %v", a, a.IsZero())
		}
		if got, err := catalog.ParseStamp(a.String()); got != a || err != nil {
			t.Errorf("%q: got %v, %v", a.String(), got, err)
		}
	}
	shuffled := slices.Clone(ascending)
	slices.Reverse(shuffled)
	slices.SortFunc(shuffled, catalog.Stamp.Compare)
	if !slices.Equal(shuffled, ascending) {
		t.Errorf("sorted: got %v, want %v", shuffled, ascending)
	}
}

func TestParseStampRefuses(t *testing.T) {
	for _, text := range []string{"", "1", "1.2", "1.2.3.4", "..", "1.2.", "1.2.x", "1.-2.3", "1. 2.3", "9223372036854775808.0.0", "1,2,3"} {
		if got, err := catalog.ParseStamp(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

func FuzzParseStamp(f *testing.F) {
	f.Add("0.0.0")
	f.Add("1.1767323045000.4294967297")
	f.Add("+1.-0.1")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := catalog.ParseStamp(text)
		if err != nil {
			return
		}
		if s.Epoch < 0 || s.Version < 0 || s.Token < 0 {
			t.Fatalf("%q: got the negative stamp %v", text, s)
		}
		if again, err := catalog.ParseStamp(s.String()); again != s || err != nil {
			t.Fatalf("%q: got %v, which reads as %v, %v", text, s, again, err)
		}
	})
}

// Tokens beyond 2^53 survive JSON: they are decimal numbers there.
func TestStampJSON(t *testing.T) {
	want := catalog.Stamp{Epoch: 1<<63 - 1, Version: 1<<53 + 1, Token: 1<<62 + 1}
	raw, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got catalog.Stamp
	if err := json.Unmarshal(raw, &got); err != nil || got != want {
		t.Errorf("got %v, %v from %s, want %v", got, err, raw, want)
	}
}
