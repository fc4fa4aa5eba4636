package origin

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"eshop/pkg/catalog"
)

// Whatever the clock does, modifiedTime never goes back; it rises strictly
// while edits are not much faster than one a second, and is never more than a
// minute ahead of the highest time the clock has shown.
func TestModifiedTimeNeverGoesBack(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		now, highest, last := start, start, start.Add(-time.Hour)
		for range 500 {
			now = now.Add(time.Duration(rnd.IntN(1500)-400) * time.Millisecond)
			if rnd.IntN(100) == 0 {
				now = now.Add(-time.Hour) // the clock is set back
			}
			if now.After(highest) {
				highest = now
			}
			next := nextModified(last, now)
			if next.Before(last) || next.Nanosecond() != 0 || next.After(highest.Add(maxAhead)) {
				t.Fatalf("after %v, at %v: got %v", last, now, next)
			}
			if next.Equal(last) && next.Sub(now) < maxAhead-time.Second {
				t.Fatalf("after %v, at %v: got the same time again", last, now)
			}
			last = next
		}
	}
}

func TestEditsAreBounded(t *testing.T) {
	s := &store{now: time.Now, edits: map[catalog.Key]*edit{}}
	big := document{{"x", text(string(make([]byte, 40_000)))}} // six bytes each, escaped
	var err error
	id := int64(1)
	for ; err == nil && id < 2000; id++ {
		_, _, err = s.put(catalog.Key{Kind: kindShop, ID: id}, big, nil)
	}
	if !errors.Is(err, errFull) || s.bytes > maxStored {
		t.Fatalf("after %d edits of 240 kB: got %v, %d bytes", id, err, s.bytes)
	}
	if _, err := s.remove(catalog.Key{Kind: kindShop, ID: 1}); err != nil {
		t.Errorf("an edit that makes room is refused: %v", err)
	}
	if _, _, err := s.put(catalog.Key{Kind: kindShop, ID: 9999}, document{{"x", text("y")}}, nil); err != nil {
		t.Errorf("a small edit after that: %v", err)
	}
	sum := 0
	for _, e := range s.edits {
		sum += e.size()
	}
	if s.bytes != sum {
		t.Errorf("accounted %d bytes, they are %d", s.bytes, sum)
	}
}

// What is parsed is what encoding/json reads, in compact form and in order.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{}`, `{"a": [1, 2]}`, `{"a":1,"a":null}`, `{}}`, `[]`, `{"\ud800":"<&>"}`, ` { "id" : "7" } `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := parse(body)
		var want map[string]any
		isObject := json.Unmarshal(body, &want) == nil && want != nil
		if err == nil && !isObject || err != nil && isObject && len(want) <= maxFields {
			t.Fatalf("%q: got %v, but it is an object: %v", body, err, isObject)
		}
		if err != nil {
			return
		}
		var got map[string]any
		if err := json.Unmarshal(d.encode(), &got); err != nil || len(got) != len(want) {
			t.Fatalf("%q became %s, %v", body, d.encode(), err)
		}
		merged := document{{"a", text("x")}}.merge(d)
		if !json.Valid(merged.encode()) {
			t.Fatalf("%q merged: %s", body, merged.encode())
		}
	})
}
