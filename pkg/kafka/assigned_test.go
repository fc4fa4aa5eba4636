package kafka

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

// adder reads from the beginning and counts.
type adder struct{ read *atomic.Int64 }

func (adder) Start(int32) (time.Time, int64) { return time.Time{}, -1 }

func (a adder) Hold(_ context.Context, p *Assigned) {
	buf := make([]Record, 4)
	for n, ok := p.Read(nil, buf); ok; n, ok = p.Read(nil, buf) {
		a.read.Add(int64(n))
	}
}

func newTestAssigned(t testing.TB, start int64, capacity int) (p *Assigned, messages chan *sarama.ConsumerMessage, done chan struct{}) {
	t.Helper()
	g, err := NewGroupReader(GroupReaderConfig{Config: Config{Brokers: []string{"a:1"}}, Group: "g", Topic: "t"}, adder{}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	messages, done = make(chan *sarama.ConsumerMessage, capacity), make(chan struct{})
	p = &Assigned{g: g, partition: 3, at: place{start: start, target: start}, messages: messages, done: done, high: func() int64 { return 0 }}
	p.next.Store(start)
	p.checked.Store(&confirmed{end: start, next: start})
	return p, messages, done
}

// What Read hands over, against the plainest model: of what the client library
// gives, everything from the start on that is new, in order. The library is made
// worse than it is: it leaves holes, repeats itself, and stops at any point.
func TestReadAgainstAModel(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		start := int64(rng.IntN(5))
		p, messages, done := newTestAssigned(t, start, 1+rng.IntN(8))
		var given []int64
		for at := start; len(given) < 60; {
			switch rng.IntN(8) {
			case 0:
				at += int64(rng.IntN(4)) // a hole
			case 1:
				at = max(0, at-int64(rng.IntN(4))) // once more, or before the start
			}
			given = append(given, at)
			at++
		}
		given = append(given, slices.Max(given)+1) // nothing is left in the library when all is read
		var want []int64
		next, skipped := start, int64(0)
		for _, o := range given {
			if o >= next {
				skipped += o - next
				want = append(want, o)
				next = o + 1
			}
		}
		go func() {
			for _, o := range given {
				messages <- &sarama.ConsumerMessage{Topic: "t", Partition: 3, Offset: o, Key: []byte("k"), Value: fmt.Append(nil, o), Timestamp: time.UnixMilli(o)}
			}
			if seed%2 == 0 {
				close(messages)
			}
		}()
		var got []int64
		tick := make(chan time.Time, 1)
		for ok := true; ok && (seed%2 == 0 || len(got) < len(want)); {
			if rng.IntN(4) == 0 {
				select {
				case tick <- time.Time{}:
				default:
				}
			}
			buf := make([]Record, rng.IntN(6))
			var n int
			n, ok = p.Read(tick, buf)
			for _, r := range buf[:n] {
				if r.Topic != "t" || r.Partition != 3 || string(r.Key) != "k" || string(r.Value) != fmt.Sprint(r.Offset) || r.Time.UnixMilli() != r.Offset {
					t.Fatalf("seed %d: got record %+v", seed, r)
				}
				got = append(got, r.Offset)
			}
		}
		if seed%2 == 1 { // what the library still has when the assignment ends is left to the next one
			messages <- &sarama.ConsumerMessage{Offset: next}
			close(done)
		}
		for range 2 {
			if n, ok := p.Read(nil, make([]Record, 4)); n != 0 || ok {
				t.Fatalf("seed %d: a read after the end gave %d, %v", seed, n, ok)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d, start %d, given %v: got %v, want %v", seed, start, given, got, want)
		}
		if p.next.Load() != next || p.g.skipped.Load() != uint64(skipped) || p.g.records.Load() != uint64(len(want)) {
			t.Fatalf("seed %d: got next %d, %d skipped, %d records, want %d, %d, %d", seed, p.next.Load(), p.g.skipped.Load(), p.g.records.Load(), next, skipped, len(want))
		}
	}
}

// While there are always records, ticks get their turn.
func TestReadDoesNotStarveTicks(t *testing.T) {
	p, messages, _ := newTestAssigned(t, 0, 4)
	tick := make(chan time.Time, 1)
	buf := make([]Record, 2)
	ticks, offset := 0, int64(0)
	for range 1000 {
		for len(messages) < cap(messages) {
			messages <- &sarama.ConsumerMessage{Offset: offset}
			offset++
		}
		if len(tick) == 0 {
			tick <- time.Time{}
		}
		if n, _ := p.Read(tick, buf); n == 0 {
			ticks++
		}
	}
	if ticks < 100 {
		t.Errorf("got %d ticks in 1000 reads, want about half", ticks)
	}
}

func TestReadTakesAllThatIsThere(t *testing.T) {
	p, messages, _ := newTestAssigned(t, 0, 8)
	for o := range int64(8) {
		messages <- &sarama.ConsumerMessage{Offset: o}
	}
	buf := make([]Record, 5)
	for _, want := range []int{5, 3} {
		if n, ok := p.Read(nil, buf); n != want || !ok {
			t.Errorf("got %d, %v, want %d", n, ok, want)
		}
	}
	if n, ok := p.Read(nil, nil); n != 0 || !ok {
		t.Errorf("without room: got %d, %v, want 0, true", n, ok)
	}
}

// BenchmarkRead is the cost of handing over a record, the client library's part left out.
func BenchmarkRead(b *testing.B) {
	p, messages, _ := newTestAssigned(b, 0, 256)
	m := &sarama.ConsumerMessage{Topic: "t", Key: []byte("k"), Value: make([]byte, 600)}
	all := make([]sarama.ConsumerMessage, 256)
	buf := make([]Record, 256)
	b.ReportAllocs()
	offset := int64(0)
	for done := 0; done < b.N; done += len(all) {
		b.StopTimer()
		for i := range all {
			all[i] = *m
			all[i].Offset = offset
			offset++
			messages <- &all[i]
		}
		b.StartTimer()
		p.Read(nil, buf)
	}
}

// The end of a log whose last records are never handed over: it is reached once
// the brokers have said the same for long enough and nothing was there to be read.
func TestTailThatIsNoRecord(t *testing.T) {
	p, messages, _ := newTestAssigned(t, 10, 4)
	p.high = func() int64 { return 11 }
	p.at.target = 11
	begin := time.Now()
	say := func(second int, end int64) { p.confirm(end, begin.Add(time.Duration(second)*time.Second)) }
	want := func(what string, end, target int64) {
		t.Helper()
		if checked, _ := p.Checked(); p.End() != end || checked != end || p.Target() != target {
			t.Errorf("%s: got end %d, checked %d, target %d; want %d, %d, %d", what, p.End(), checked, p.Target(), end, end, target)
		}
	}
	for i := range 3 {
		say(i, 11)
		want("too early", 11, 11)
	}
	say(3, 11)
	want("after 3 s", 10, 10)
	messages <- &sarama.ConsumerMessage{Offset: 10}
	want("it was a record after all", 11, 11)
	if n, ok := p.Read(nil, make([]Record, 4)); n != 1 || !ok {
		t.Fatalf("read %d, %v", n, ok)
	}
	want("read", 11, 11)
	p.high = func() int64 { return 12 }
	for i := range 4 {
		say(4+i, 12)
	}
	want("another tail", 11, 11)
	p.high = func() int64 { return 13 }
	if got := p.End(); got != 13 {
		t.Errorf("more has come behind the tail: end %d, want 13", got)
	}
}
