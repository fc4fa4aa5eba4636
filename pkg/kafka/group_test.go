package kafka_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eshop/pkg/kafka"
)

func TestGroupKeepsOrderPerKeyAndRunsKeysInParallel(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 4)
		const keys, each = 40, 25
		var mu sync.Mutex
		seen := make(map[string][]int)
		busy := make(map[string]bool)
		running, most := 0, 0
		handle := func(ctx context.Context, r kafka.Record) error {
			k, n, _ := strings.Cut(string(r.Value), ":")
			i, _ := strconv.Atoi(n)
			mu.Lock()
			if busy[k] {
				t.Errorf("key %s: two handlers at once", k)
			}
			busy[k] = true
			running++
			most = max(most, running)
			mu.Unlock()
			select {
			case <-ctx.Done():
			case <-time.After(time.Duration(rand.IntN(3)) * time.Millisecond):
			}
			mu.Lock()
			defer mu.Unlock()
			busy[k] = false
			running--
			if rand.IntN(10) == 0 {
				return errors.New("a random failure")
			}
			seen[k] = append(seen[k], i)
			return nil
		}
		g, _ := c.group(t, kafka.GroupConfig{Group: topic, Topic: topic, Parallel: 8, Backoff: kafka.Backoff{Min: time.Millisecond, Max: 5 * time.Millisecond}}, byValue, handle)
		p := c.producer(t, kafka.ProducerConfig{})
		for i := range each {
			for k := range keys {
				key := fmt.Sprintf("k%d", k)
				if !p.Offer(kafka.Record{Topic: topic, Key: []byte(key), Value: fmt.Appendf(nil, "%s:%d", key, i)}) {
					t.Fatalf("offer: %v", p.Dropped())
				}
			}
		}
		until(t, 60*time.Second, "all are applied", func() bool { return g.Status().Applied == keys*each })
		mu.Lock()
		defer mu.Unlock()
		for k, got := range seen {
			for i, n := range got {
				if n != i {
					t.Fatalf("key %s: got %v, want 0…%d in order, each once", k, got, each-1)
				}
			}
		}
		if most < 2 || most > 8 {
			t.Errorf("handlers at once: got %d, want 2 to 8", most)
		}
	})
}

// Unkeyed records of one key lie in several partitions and still never run side by side.
func TestGroupUnkeyedRecordsOfOneKeyDoNotOverlap(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 4)
		var busy, overlaps atomic.Int32
		partitions := make(map[int32]bool)
		var mu sync.Mutex
		handle := func(ctx context.Context, r kafka.Record) error {
			if busy.Add(1) > 1 {
				overlaps.Add(1)
			}
			defer busy.Add(-1)
			mu.Lock()
			partitions[r.Partition] = true
			mu.Unlock()
			<-time.After(time.Millisecond)
			return nil
		}
		g, _ := c.group(t, kafka.GroupConfig{Group: topic, Topic: topic}, byValue, handle)
		p := c.producer(t, kafka.ProducerConfig{})
		for i := range 100 {
			send(t, p, kafka.Record{Topic: topic, Value: fmt.Appendf(nil, "one:%d", i)})
		}
		until(t, 30*time.Second, "all are applied", func() bool { return g.Status().Applied == 100 })
		if n := overlaps.Load(); n > 0 {
			t.Errorf("overlaps: got %d, want 0", n)
		}
		mu.Lock()
		defer mu.Unlock()
		if len(partitions) != 4 {
			t.Errorf("partitions used by unkeyed records: got %d, want 4", len(partitions))
		}
	})
}

func TestGroupFailingKeyHoldsItsCommitAndNobodyElse(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 1)
		var broken atomic.Bool
		broken.Store(true)
		handle := func(ctx context.Context, r kafka.Record) error {
			if strings.HasPrefix(string(r.Value), "bad:") && broken.Load() {
				return errors.New("the origin is down")
			}
			return nil
		}
		cfg := kafka.GroupConfig{Group: topic, Topic: topic, Parallel: 2, Backoff: kafka.Backoff{Min: time.Millisecond, Max: 20 * time.Millisecond}, CommitInterval: 10 * time.Millisecond}
		g, _ := c.group(t, cfg, byValue, handle)
		p := c.producer(t, kafka.ProducerConfig{})
		for i := range 100 {
			key := "good"
			if i >= 10 && i%10 == 0 { // more failing records than there are slots
				key = "bad"
			}
			send(t, p, kafka.Record{Topic: topic, Value: fmt.Appendf(nil, "%s:%d", key, i)})
		}
		until(t, 30*time.Second, "the good ones are applied", func() bool { return g.Status().Applied == 91 })
		s := g.Status()
		if got := s.Claims[0].Marked; got != 10 {
			t.Errorf("offset up to which commits may go: got %d, want 10", got)
		}
		until(t, 30*time.Second, "the bad key waits for its next attempt", func() bool { return g.Status().Retrying == 1 })
		broken.Store(false)
		until(t, 30*time.Second, "the rest is applied", func() bool { return g.Status().Applied == 100 })
		admin := c.admin(t)
		until(t, 30*time.Second, "everything is committed", func() bool {
			resp, err := admin.ListConsumerGroupOffsets(topic, map[string][]int32{topic: {0}})
			return err == nil && resp.GetBlock(topic, 0).Offset == 100
		})
	})
}

func TestGroupDeadLetters(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic, dead := c.topic(t, 2), c.topic(t, 1)
		handle := func(ctx context.Context, r kafka.Record) error {
			if strings.HasPrefix(string(r.Value), "no:") {
				return fmt.Errorf("apply: %w", kafka.Reject(errors.New("unknown kind")))
			}
			return nil
		}
		letters := &sink{}
		c.reader(t, kafka.ReaderConfig{Topic: dead, Replay: -1}, letters)
		g, _ := c.group(t, kafka.GroupConfig{Group: topic, Topic: topic, DeadTopic: dead}, byValue, handle)
		p := c.producer(t, kafka.ProducerConfig{})
		at := time.UnixMilli(1_700_000_000_123).UTC()
		for _, v := range []string{"yes:1", "no:2", "garbage", "yes:3", "\xff\xfe"} {
			send(t, p, kafka.Record{Topic: topic, Key: []byte("k"), Value: []byte(v), Time: at})
		}
		big := "no:" + strings.Repeat("x", 900_000) + strings.Repeat("\x01", 60_000) // longer as JSON than a record may be
		send(t, p, kafka.Record{Topic: topic, Key: []byte("k"), Value: []byte(big), Time: at})
		until(t, 30*time.Second, "two are applied and four rejected", func() bool {
			s := g.Status()
			return s.Applied == 2 && s.DeadLettered == 4 && letters.count() == 4
		})
		got := make(map[string]kafka.DeadLetter)
		for _, v := range letters.values() {
			var d kafka.DeadLetter
			if err := json.Unmarshal([]byte(v), &d); err != nil {
				t.Fatal(err)
			}
			got[d.Value] = d
		}
		if d := got["no:2"]; d.Reason != "unknown kind" || d.Topic != topic || d.Offset != 1 || d.Key != "k" || !d.Time.Equal(at) {
			t.Errorf("rejected by the handler: got %+v", d)
		}
		if d := got["garbage"]; !strings.Contains(d.Reason, "has no key") || d.Offset != 2 {
			t.Errorf("rejected by the key function: got %+v", d)
		}
		if d := got["//4="]; d.Encoding != "base64" || d.Key != "aw==" {
			t.Errorf("not text: got %+v", d)
		}
		if d := got[big[:16<<10]]; !d.Truncated {
			t.Errorf("too large: got no truncated letter")
		}
	})
}

func TestGroupRetriesAfterPanic15(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 1)
		var calls atomic.Int32
		handle := func(context.Context, kafka.Record) error {
			if calls.Add(1) == 1 {
				panic("boom")
			}
			return nil
		}
		g, _ := c.group(t, kafka.GroupConfig{Group: topic, Topic: topic, Backoff: kafka.Backoff{Min: time.Millisecond}}, byValue, handle)
		p := c.producer(t, kafka.ProducerConfig{})
		send(t, p, kafka.Record{Topic: topic, Value: []byte("a:1")})
		until(t, 30*time.Second, "it is applied", func() bool { return g.Status().Applied == 1 })
		if got := g.Status().Retried; got != 1 {
			t.Errorf("retries: got %d, want 1", got)
		}
	})
}

// Members come and go while records flow; each record is applied at least once.
func TestGroupRebalanceLosesNothing25(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 6)
		const n = 3000
		var applied [n]atomic.Int32
		handle := func(ctx context.Context, r kafka.Record) error {
			_, v, _ := strings.Cut(string(r.Value), ":")
			i, _ := strconv.Atoi(v)
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Millisecond):
			}
			if rand.IntN(50) == 0 {
				return errors.New("a random failure")
			}
			applied[i].Add(1)
			return nil
		}
		cfg := kafka.GroupConfig{Group: topic, Topic: topic, Parallel: 4, Backoff: kafka.Backoff{Min: time.Millisecond, Max: 5 * time.Millisecond}}
		first, _ := c.group(t, cfg, byValue, handle)
		until(t, 30*time.Second, "the first has all", func() bool { return len(first.Status().Claims) == 6 })
		p := c.producer(t, kafka.ProducerConfig{})
		produced := make(chan struct{})
		go func() {
			defer close(produced)
			for i := range n {
				for !p.Offer(kafka.Record{Topic: topic, Key: fmt.Appendf(nil, "k%d", i%97), Value: fmt.Appendf(nil, "k%d:%d", i%97, i)}) {
					<-time.After(time.Millisecond)
				}
				if i%10 == 0 {
					<-time.After(10 * time.Millisecond)
				}
			}
		}()
		second, stopSecond := c.group(t, cfg, byValue, handle)
		until(t, 30*time.Second, "they share", func() bool { return len(first.Status().Claims) == 3 && len(second.Status().Claims) == 3 })
		stopSecond()
		until(t, 30*time.Second, "the first has all again", func() bool { return len(first.Status().Claims) == 6 })
		<-produced
		missing := func() (out []int) {
			for i := range applied {
				if applied[i].Load() == 0 {
					out = append(out, i)
				}
			}
			return out
		}
		until(t, 60*time.Second, "all are applied", func() bool { return len(missing()) == 0 })
		twice := 0
		for i := range applied {
			if applied[i].Load() > 1 {
				twice++
			}
		}
		t.Logf("applied more than once: %d of %d", twice, n)
	})
}

// A handler that is under way when the partition goes has its context cancelled, and its record is not committed.
func TestGroupCancelsHandlersWhenTheClaimEnds(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 1)
		began := make(chan struct{})
		var cancelled atomic.Bool
		handle := func(ctx context.Context, r kafka.Record) error {
			if string(r.Value) == "a:1" {
				return nil
			}
			close(began)
			<-ctx.Done()
			cancelled.Store(true)
			return ctx.Err()
		}
		_, stop := c.group(t, kafka.GroupConfig{Group: topic, Topic: topic, Drain: 50 * time.Millisecond}, byValue, handle)
		p := c.producer(t, kafka.ProducerConfig{})
		send(t, p, kafka.Record{Topic: topic, Value: []byte("a:1")})
		send(t, p, kafka.Record{Topic: topic, Value: []byte("a:2")})
		<-began
		stop()
		if !cancelled.Load() {
			t.Error("the handler's context was not cancelled before Run returned")
		}
		resp, err := c.admin(t).ListConsumerGroupOffsets(topic, map[string][]int32{topic: {0}})
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.GetBlock(topic, 0).Offset; got != 1 {
			t.Errorf("committed: got %d, want 1", got)
		}
		var again sync.Map
		c.group(t, kafka.GroupConfig{Group: topic, Topic: topic}, byValue, func(_ context.Context, r kafka.Record) error {
			again.Store(string(r.Value), true)
			return nil
		})
		until(t, 30*time.Second, "the record is delivered again", func() bool { _, ok := again.Load("a:2"); return ok })
		if _, ok := again.Load("a:1"); ok {
			t.Error("a committed record was delivered again")
		}
	})
}

// A committed offset that retention has removed is answered with "out of range" (36): the group goes on at the beginning.
func TestGroupBehindRetention36(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 1)
		p := c.producer(t, kafka.ProducerConfig{})
		var last atomic.Int64
		handle := func(_ context.Context, r kafka.Record) error { last.Store(r.Offset); return nil }
		send(t, p, kafka.Record{Topic: topic, Value: []byte("a:0")})
		send(t, p, kafka.Record{Topic: topic, Value: []byte("a:1")})
		g, stop := c.group(t, kafka.GroupConfig{Group: topic, Topic: topic}, byValue, handle)
		until(t, 30*time.Second, "two are applied", func() bool { return g.Status().Applied == 2 })
		stop()
		for i := range 10 {
			send(t, p, kafka.Record{Topic: topic, Value: fmt.Appendf(nil, "a:%d", i)})
		}
		if err := c.admin(t).DeleteRecords(topic, map[int32]int64{0: 8}); err != nil {
			t.Fatal(err)
		}
		g, _ = c.group(t, kafka.GroupConfig{Group: topic, Topic: topic}, byValue, handle)
		until(t, 30*time.Second, "the rest is applied", func() bool { return g.Status().Applied == 4 && last.Load() == 11 })
	})
}

func TestGroupBoundsWhatIsInFlight(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 2)
		release := make(chan struct{})
		handle := func(ctx context.Context, r kafka.Record) error {
			select {
			case <-release:
			case <-ctx.Done():
			}
			return ctx.Err()
		}
		g, _ := c.group(t, kafka.GroupConfig{Group: topic, Topic: topic, MaxInFlight: 10}, byValue, handle)
		p := c.producer(t, kafka.ProducerConfig{})
		for i := range 100 {
			p.Offer(kafka.Record{Topic: topic, Value: fmt.Appendf(nil, "k%d:%d", i, i)})
		}
		inFlight := func() (n int) {
			for _, cl := range g.Status().Claims {
				n += cl.InFlight
			}
			return n
		}
		until(t, 30*time.Second, "ten are in flight", func() bool { return inFlight() >= 10 })
		until(t, 30*time.Second, "all are written", func() bool { return p.Status().Acked == 100 })
		if got := inFlight(); got != 10 {
			t.Errorf("in flight: got %d, want 10", got)
		}
		close(release)
		until(t, 30*time.Second, "all are applied", func() bool { return g.Status().Applied == 100 })
	})
}

func TestNewGroupWantsItsParts(t *testing.T) {
	_, err := kafka.NewGroup(kafka.GroupConfig{Config: kafka.Config{Brokers: []string{"no-port"}, SASL: &kafka.SASL{Mechanism: "x"}}}, nil, nil, kafka.Deps{})
	for _, want := range []string{"no-port", "mechanism", "user"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want all problems at once, also %q", err, want)
		}
	}
}
