package rediscluster_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/rediscluster"
)

// Invariant 1: under racing writers with shuffled stamps no stamp goes down,
// and the highest one is what stays.
func TestInvariant1NeverOlder(t *testing.T) {
	onBoth(t, func(t *testing.T, addrs []string) {
		writes, writers := 4000, 16
		if len(addrs) == 1 {
			writers = 2 // it is one lock: more would wait for longer than a timeout
		}
		switch {
		case long() && len(addrs) == 1:
			writes = 100_000
		case long():
			writes = 1_000_000
		}
		s, _ := open(t, rediscluster.Config{Addrs: addrs}, shop(t))
		began := time.Now()
		if err := race(t.Context(), s, writes, writers); err != nil {
			t.Error(err)
		}
		took := time.Since(began)
		t.Logf("%d writes in %v, %.0f a second, %d writers in batches of 1 and 20, with 4 readers", writes, took.Round(time.Millisecond), float64(writes)/took.Seconds(), writers)
	})
}

// The race finds a script that does not compare.
func TestInvariant1RaceFindsFaults(t *testing.T) {
	onBoth(t, func(t *testing.T, addrs []string) {
		s, _ := open(t, rediscluster.Config{Addrs: addrs}, shop(t))
		source := strings.Replace(rediscluster.Script(), "if not accept then", "if false then", 1)
		if source == rediscluster.Script() {
			t.Fatal("the script has no such line")
		}
		s.SetScript(source)
		if err := race(t.Context(), s, 2000, 4); err == nil {
			t.Error("the fault was not found")
		} else {
			t.Logf("found: %v", err)
		}
	})
}

// seen is the highest stamp anybody was told of for a key.
type seen struct {
	mu    sync.Mutex
	stamp catalog.Stamp
}

func (s *seen) now() catalog.Stamp {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stamp
}

func (s *seen) raise(to catalog.Stamp) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stamp = s.stamp.Max(to)
}

// race makes the given number of writes with distinct stamps over 50 keys, in
// random order from several writers, half of them in batches, while readers
// watch. What a call is told must not be below what anybody was told before the
// call began; at the end each key must have the highest stamp and its body.
func race(ctx context.Context, s *rediscluster.Store, writes, writers int) error {
	const keys, readers = 50, 4
	told := make([]seen, keys)
	want := make([]catalog.Stamp, keys)
	body := func(id int64, st catalog.Stamp) string { return fmt.Sprintf("%d at %d.%d", id, st.Version, st.Token) }
	var requests []rediscluster.WriteRequest
	for i := range writes {
		id := int64(i%keys + 1)
		st := stamp(0, int64(i/keys/5), most-int64(writes-i)) // five tokens a version, beyond 2^53
		requests = append(requests, rediscluster.WriteRequest{Op: put, Document: doc(id, st.Version, st.Token, body(id, st))})
		want[id-1] = want[id-1].Max(st)
	}
	rand.Shuffle(len(requests), func(i, j int) { requests[i], requests[j] = requests[j], requests[i] })

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	check := func(id int64, floor, got catalog.Stamp, what string) {
		if got.Less(floor) {
			cancel(fmt.Errorf("%s of product %d: stamp %v after %v had been seen", what, id, got, floor))
		}
		told[id-1].raise(got)
	}
	todo := make(chan []rediscluster.WriteRequest)
	var work, watch sync.WaitGroup
	for range writers {
		work.Go(func() {
			for batch := range todo {
				floors := make([]catalog.Stamp, len(batch))
				for i, r := range batch {
					floors[i] = told[r.Document.Key.ID-1].now()
				}
				for i, r := range s.WriteMany(ctx, batch) {
					d := batch[i].Document
					// As every caller does: again until it is known. A timeout may have
					// been a write, which the rules must bear.
					for tries := 0; r.Err != nil && tries < 20 && ctx.Err() == nil; tries++ {
						r.Outcome, r.Err = s.Write(ctx, put, d)
					}
					if r.Err != nil {
						cancel(r.Err)
						continue
					}
					check(d.Key.ID, floors[i], r.Outcome.Stored, "a write")
					if r.Outcome.Stored.Less(d.Stamp) {
						cancel(fmt.Errorf("a write of %v left %v", d.Stamp, r.Outcome.Stored))
					}
				}
			}
		})
	}
	stop := make(chan struct{})
	for range readers {
		watch.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-ctx.Done():
					return
				default:
				}
				id := rand.Int64N(keys) + 1
				floor := told[id-1].now()
				d, err := s.Get(ctx, product(id), rediscluster.FromMaster)
				if err != nil {
					continue // no answer is not a wrong one
				}
				check(id, floor, d.Stamp, "a read")
				if d.State == live && string(d.Body) != body(id, d.Stamp) {
					cancel(fmt.Errorf("product %d has the stamp %v and the body %q", id, d.Stamp, d.Body))
				}
			}
		})
	}
	for i := 0; len(requests) > 0 && ctx.Err() == nil; i++ {
		n := min(1+i%2*19, len(requests))
		todo <- requests[:n]
		requests = requests[n:]
	}
	close(todo)
	work.Wait()
	close(stop)
	watch.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	var bad []error
	for i := range keys {
		id := int64(i + 1)
		d, err := s.Get(ctx, product(id), rediscluster.FromMaster)
		if err != nil {
			return err
		}
		if d.Stamp != want[i] || string(d.Body) != body(id, want[i]) {
			bad = append(bad, fmt.Errorf("product %d ends with %v and %q, want %v", id, d.Stamp, d.Body, want[i]))
		}
	}
	return errors.Join(bad...)
}
