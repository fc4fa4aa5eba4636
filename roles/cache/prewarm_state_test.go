package cache

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlanForm(t *testing.T) {
	large := make([]int64, maxPlan)
	for i := range large {
		large[i] = math.MaxInt64 - int64(i)
	}
	for _, ids := range [][]int64{nil, {1}, {7, 3, math.MaxInt64, 1 << 40}, large} {
		data := encodePlan(1<<62, ids)
		if len(data) > 900<<10 {
			t.Errorf("%d ids make %d bytes", len(ids), len(data))
		}
		generation, got, err := parsePlan(data)
		if err != nil || generation != 1<<62 || !slices.Equal(got, ids) {
			t.Errorf("%d ids came back as %d ids of generation %d (%v)", len(ids), len(got), generation, err)
		}
	}
}

func FuzzParsePlan(f *testing.F) {
	f.Add(encodePlan(5, []int64{1, 2, 300}))
	f.Add(encodePlan(0, nil))
	f.Add([]byte{})
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		generation, ids, err := parsePlan(data)
		if err != nil {
			return
		}
		for _, id := range ids {
			if id < 1 {
				t.Fatalf("the id %d", id)
			}
		}
		again, same, err := parsePlan(encodePlan(generation, ids)) // other bytes: a varint may be longer than it need be
		if err != nil || again != generation || !slices.Equal(same, ids) || len(ids) > maxPlan {
			t.Fatalf("%d ids of generation %d came back as %d of %d (%v)", len(ids), generation, len(same), again, err)
		}
	})
}

func FuzzParsePrewarmState(f *testing.F) {
	s := prewarmState{Generation: 3, Total: 20, Pulled: 10, Failed: 2, Cursor: 12, Round: 1, Failing: []byte{1, 2, 0}}
	f.Add(s.encode())
	f.Add([]byte(`{"generation":1,"total":9,"cursor":9,"failed":1,"failing":"AQ=="}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parsePrewarmState(data)
		if err != nil {
			return
		}
		again, err := parsePrewarmState(s.encode())
		if len(data) > 0 && (err != nil || !cmp.Equal(s, again)) {
			t.Fatalf("%s came back as %+v (%v)", data, again, err)
		}
		// What it says can be gone on with.
		left, marked := s.left(), 0
		for place := range s.Total {
			if s.failing(place) {
				marked++
			}
			if place < 100 {
				s.count(place, failed)
				s.count(place, present)
			}
		}
		if left < 0 || left > s.Total || marked > s.Total {
			t.Fatalf("%s: %d left, %d marked of %d", data, left, marked, s.Total)
		}
	})
}

func TestPrewarmStateRefusesContradictions(t *testing.T) {
	good := prewarmState{Generation: 3, Total: 20, Pulled: 10, Failed: 2, Cursor: 12, Failing: []byte{1, 2, 0}}
	if _, err := parsePrewarmState(good.encode()); err != nil {
		t.Errorf("a good one: %v", err)
	}
	for what, spoil := range map[string]func(*prewarmState){
		"no generation":             func(s *prewarmState) { s.Generation = 0 },
		"too large":                 func(s *prewarmState) { s.Total = maxPlan + 1 },
		"cursor behind the end":     func(s *prewarmState) { s.Cursor = 21 },
		"cursor before the start":   func(s *prewarmState) { s.Cursor = -1 },
		"a round too many":          func(s *prewarmState) { s.Round = retryRounds + 1 },
		"more marks than failures":  func(s *prewarmState) { s.Failing = []byte{7, 0, 0} },
		"fewer marks than failures": func(s *prewarmState) { s.Failing = nil },
		"marks behind the end":      func(s *prewarmState) { s.Failing = []byte{1, 0, 0, 2} },
		"more done than there are":  func(s *prewarmState) { s.Present = 9 },
		"less than nothing":         func(s *prewarmState) { s.Absent = -1 },
	} {
		s := good
		s.Failing = bytes.Clone(good.Failing)
		spoil(&s)
		if _, err := parsePrewarmState(s.encode()); err == nil {
			t.Errorf("%s is not refused", what)
		}
	}
	if _, err := parsePrewarmState([]byte("{")); err == nil {
		t.Error("half a state is not refused")
	}
	if s, err := parsePrewarmState(nil); err != nil || s.unfinished() {
		t.Errorf("nothing: %+v (%v), want the zero state", s, err)
	}
}
