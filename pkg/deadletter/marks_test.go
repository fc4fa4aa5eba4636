package deadletter

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

// TestMarksAgainstAMap plays random marks on the ranges and on one entry an offset.
func TestMarksAgainstAMap(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 300 {
		var m marks
		model := map[int64]Mark{}
		now := time.Now()
		for step := range 40 {
			from := r.Int64N(60)
			k := Mark{From: from, To: from + r.Int64N(8), Did: []string{Replayed, Discarded}[r.IntN(2)], By: []string{"a", "b"}[r.IntN(2)], At: now.UnixMilli()}
			oldest := int64(step / 4)
			next, err := m.with(k, oldest)
			if err != nil {
				t.Fatal(err)
			}
			m = next
			for o := k.From; o <= k.To; o++ {
				model[o] = k
			}
			held := int64(0)
			for o := oldest; o < 80; o++ {
				want, dealt := model[o]
				got, has := m.of(o, now)
				if has != dealt || got.Did != want.Did || got.By != want.By {
					t.Fatalf("offset %d: got %+v %v, want %+v %v, of %+v", o, got, has, want, dealt, m.Marks)
				}
				if dealt {
					held++
				}
			}
			if got := m.within(oldest, 80); got != held {
				t.Fatalf("%d offsets have a mark, want %d: %+v", got, held, m.Marks)
			}
		}
	}
}

// TestMarksAreBounded: when there is no room a change is refused, and one mark over a
// whole span makes room.
func TestMarksAreBounded(t *testing.T) {
	var m marks
	var err error
	at := time.Now().UnixMilli()
	for i := range int64(MaxMarks) {
		if m, err = m.with(Mark{From: 2 * i, To: 2 * i, Did: Discarded, By: "a", At: at}, 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err = m.with(Mark{From: 5000, To: 5000, Did: Discarded, By: "a", At: at}, 0); !errors.Is(err, ErrFull) {
		t.Errorf("one mark too many: got %v, want ErrFull", err)
	}
	if m, err = m.with(Mark{From: 0, To: 5000, Did: Discarded, By: "a", At: at}, 0); err != nil || len(m.Marks) != 1 {
		t.Errorf("a mark over all: got %d marks, %v, want 1", len(m.Marks), err)
	}
	if m, err = m.with(Mark{From: 6000, To: 6000, Did: Replayed, By: "a", At: at}, 5001); err != nil || len(m.Marks) != 1 {
		t.Errorf("retention has removed what the first mark was for: got %+v, %v", m.Marks, err)
	}
}

// TestMarkOfAnotherTopic: records younger than their mark belong to a topic that was made anew.
func TestMarkOfAnotherTopic(t *testing.T) {
	made := time.Now().Add(-time.Hour)
	m := marks{Marks: []Mark{{From: 0, To: 9, Did: Discarded, By: "a", At: made.UnixMilli()}}}
	if _, dealt := m.of(3, made.Add(-time.Minute)); !dealt {
		t.Error("a letter older than its mark is open")
	}
	if _, dealt := m.of(3, made.Add(10*time.Minute)); dealt {
		t.Error("a letter younger than the mark is dealt with")
	}
}

func FuzzMarks(f *testing.F) {
	for _, seed := range []string{`{"marks":[{"from":3,"to":7,"did":"replayed","by":"x","at":1}]}`, `{"marks":[{"from":7,"to":3,"did":"replayed"}]}`, `{}`, `null`, `{"marks":[{"from":1,"to":2,"did":"discarded"},{"from":2,"to":4,"did":"replayed"}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseMarks(data)
		if err != nil {
			return
		}
		if next, err := m.with(Mark{From: 1, To: 1, Did: Discarded}, 0); err == nil && next.within(1, 2) != 1 {
			t.Errorf("the mark is not there: %+v", next)
		}
	})
}
