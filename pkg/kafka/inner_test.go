package kafka

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
)

// The exchange of RFC 7677 section 3.
func TestScram(t *testing.T) {
	s := scramGenerator(sarama.SASLTypeSCRAMSHA256, func() string { return "pencil" })().(*scram)
	if err := s.Begin("user", "not this one", ""); err != nil {
		t.Fatal(err)
	}
	s.nonce, s.firstBare = "rOprNGfwEbeRWgbNEkqO", "n=user,r=rOprNGfwEbeRWgbNEkqO"
	for i, x := range []struct{ in, want string }{
		{"", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"},
		{
			"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
			"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
		},
		{"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", ""},
	} {
		got, err := s.Step(x.in)
		if err != nil || got != x.want {
			t.Fatalf("step %d: got %q %v, want %q", i, got, err, x.want)
		}
	}
	if !s.Done() {
		t.Error("not done after the server's proof")
	}
}

func TestScramRefuses(t *testing.T) {
	for _, tc := range []struct{ name, second, third, want string }{
		{"a foreign nonce", "r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "", "nonce"},
		{"no extension", "r=mine,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "", "nonce"},
		{"endless work", "r=mine1,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=999999999", "", "out of range"},
		{"a false proof", "r=mine1,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "v=AAAA", "prove"},
		{"an error", "r=mine1,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "e=invalid-proof", "invalid-proof"},
	} {
		s := scramGenerator(sarama.SASLTypeSCRAMSHA512, func() string { return "p" })().(*scram)
		_ = s.Begin("u,=", "p", "")
		s.nonce = "mine"
		_, err := s.Step("")
		for _, in := range []string{tc.second, tc.third} {
			if err == nil {
				_, err = s.Step(in)
			}
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want an error with %q", tc.name, err, tc.want)
		}
	}
}

// A compressed message set of version 1 has relative offsets inside, the outer one being that of its last record.
func TestDecode(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	record := func(offset int64, v string) Record {
		return Record{Topic: "t", Partition: 3, Offset: offset, Value: []byte(v), Time: at}
	}
	batch := func(first int64, values ...string) *sarama.Records {
		b := &sarama.RecordBatch{FirstOffset: first, FirstTimestamp: at, LastOffsetDelta: int32(len(values) - 1)}
		for i, v := range values {
			b.Records = append(b.Records, &sarama.Record{OffsetDelta: int64(i), Value: []byte(v)})
		}
		return &sarama.Records{RecordBatch: b}
	}
	control := batch(12, "commit")
	control.RecordBatch.Control = true
	cut := batch(14)
	cut.RecordBatch.PartialTrailingRecord = true
	emptied := batch(10, "x") // compacted: the last offset stays
	emptied.RecordBatch.Records, emptied.RecordBatch.LastOffsetDelta = nil, 4
	old := func(version int8, offset int64, v string) *sarama.MessageBlock {
		return &sarama.MessageBlock{Offset: offset, Msg: &sarama.Message{Version: version, Value: []byte(v), Timestamp: at}}
	}
	wrapped := &sarama.MessageBlock{Offset: 12, Msg: &sarama.Message{Version: 1, Timestamp: at, Set: &sarama.MessageSet{
		Messages: []*sarama.MessageBlock{old(1, 0, "a"), old(1, 1, "b"), old(1, 2, "c")},
	}}}
	for _, tc := range []struct {
		name    string
		sets    []*sarama.Records
		want    []Record
		end     int64
		partial bool
	}{
		{"nothing", nil, nil, 10, false},
		{"two batches, the first begins before", []*sarama.Records{batch(9, "z", "a"), batch(11, "b")}, []Record{record(10, "a"), record(11, "b")}, 12, false},
		{"the end of a transaction", []*sarama.Records{batch(10, "a", "b"), control}, []Record{record(10, "a"), record(11, "b")}, 13, false},
		{"a batch cut off", []*sarama.Records{batch(10, "a"), cut}, []Record{record(10, "a")}, 11, true},
		{"a compacted batch", []*sarama.Records{emptied}, nil, 15, false},
		{"version 0", []*sarama.Records{{MsgSet: &sarama.MessageSet{Messages: []*sarama.MessageBlock{old(0, 10, "a"), old(0, 11, "b")}}}}, []Record{record(10, "a"), record(11, "b")}, 12, false},
		{"version 1, wrapped", []*sarama.Records{{MsgSet: &sarama.MessageSet{Messages: []*sarama.MessageBlock{wrapped}, PartialTrailingMessage: true}}}, []Record{record(10, "a"), record(11, "b"), record(12, "c")}, 13, true},
	} {
		got, end, partial := decode(&sarama.FetchResponseBlock{RecordsSet: tc.sets}, "t", 3, 10)
		if d := cmp.Diff(tc.want, got); d != "" || end != tc.end || partial != tc.partial {
			t.Errorf("%s: got end %d partial %v, want %d %v; records (-want +got):\n%s", tc.name, end, partial, tc.end, tc.partial, d)
		}
	}
}

// The watchdog's judgement (25): each case is a run of observations one second apart, with a limit of 3 s.
func TestStalls25(t *testing.T) {
	one := func(c claimObservation) observation {
		return observation{joined: true, claims: map[int32]claimObservation{0: c}}
	}
	silent := one(claimObservation{next: 5, end: 9, marked: 5, committed: 5})
	repeat := func(o observation, n int) (out []observation) {
		for range n {
			out = append(out, o)
		}
		return out
	}
	moving := func() (out []observation) {
		for i := range int64(10) {
			out = append(out, one(claimObservation{next: i, end: 100, marked: i, committed: i - 1}))
		}
		return out
	}
	for _, tc := range []struct {
		name string
		runs []observation
		want []int // at which observations a restart is called for
	}{
		{"idle at the end", repeat(one(claimObservation{next: 9, end: 9, marked: 9, committed: 9}), 10), nil},
		{"reading and committing", moving(), nil},
		{"a dead subscription, restarted once for one offset", repeat(silent, 12), []int{3}},
		{"waiting for room", repeat(one(claimObservation{next: 5, end: 9, blocked: true, marked: 5, committed: 5}), 10), nil},
		{"a zombie that cannot commit", repeat(one(claimObservation{next: 9, end: 9, marked: 9, committed: 4}), 6), []int{3}},
		{"held back by a failing key", repeat(one(claimObservation{next: 9, end: 9, marked: -1, committed: -1}), 10), nil},
		{"outside for 30 s", repeat(observation{}, 35), []int{30}},
		{"outside for a moment", append(append(repeat(observation{}, 20), silent), repeat(observation{}, 20)...), nil},
	} {
		var s stalls
		var got []int
		now := time.Unix(0, 0)
		for i, o := range tc.runs {
			if err := s.judge(now.Add(time.Duration(i)*time.Second), o, 3*time.Second); err != nil {
				got = append(got, i)
			}
		}
		if d := cmp.Diff(tc.want, got); d != "" {
			t.Errorf("%s: restarts (-want +got):\n%s", tc.name, d)
		}
	}
}

func TestNextSequenceWraps(t *testing.T) {
	if got := nextSequence(1<<31-3, 5); got != 2 {
		t.Errorf("got %d, want 2", got)
	}
}

// A record that was meant for a partition by hand never goes to another one: not
// when it is offered, not when it waited, and not when the topic has shrunk since.
func TestManualPartitionThatIsNotThere(t *testing.T) {
	var dropped []int32
	p, err := NewProducer(ProducerConfig{Config: Config{Brokers: []string{"a:1"}}, ManualPartition: true, OnDrop: func(r Record, reason string) {
		if reason != DropRejected {
			t.Errorf("dropped as %s, want %s", reason, DropRejected)
		}
		dropped = append(dropped, r.Partition)
	}}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	top := p.topic("t")
	for _, id := range []int32{1, 5} { // before the layout is known
		p.Offer(Record{Topic: "t", Partition: id})
	}
	sent := newItem(Record{Topic: "t", Partition: 9})
	sent.done = make(chan error, 1)
	p.admit(sent)
	p.mu.Lock()
	top.resize(4)
	p.distribute(top)
	p.mu.Unlock()
	if err := <-sent.done; !errors.Is(err, ErrNoPartition) {
		t.Errorf("sent to partition 9 of 4: got %v, want ErrNoPartition", err)
	}
	for _, id := range []int32{3, 4, -1} {
		p.Offer(Record{Topic: "t", Partition: id})
	}
	if err := p.Send(t.Context(), Record{Topic: "t", Partition: 4}); !errors.Is(err, ErrNoPartition) {
		t.Errorf("sent to partition 4 of 4: got %v, want ErrNoPartition", err)
	}
	p.mu.Lock()
	top.resize(2)
	p.distribute(top)
	p.mu.Unlock()
	if want := []int32{5, 4, -1, 3}; !slices.Equal(dropped, want) {
		t.Errorf("dropped for partitions %v, want %v", dropped, want)
	}
	if s := p.Status(); s.Records != 1 || top.parts[0].count() != 0 || top.parts[1].count() != 1 {
		t.Errorf("%d records are held, %d on partition 0; want 1, on partition 1", s.Records, top.parts[0].count())
	}
}
