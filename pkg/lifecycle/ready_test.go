package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/lifecycle"

	"github.com/google/go-cmp/cmp"
)

func TestReady(t *testing.T) {
	var r lifecycle.Ready
	if !r.OK() || len(r.Reasons()) != 0 {
		t.Errorf("without conditions: got %v %q, want ready", r.OK(), r.Reasons())
	}
	r.Set("redis", false, "slots 0-5460 not covered")
	r.Set("zookeeper", false, "")
	r.Set("kafka", true, "")
	want := []string{"redis: slots 0-5460 not covered", "zookeeper"}
	if got := r.Reasons(); !cmp.Equal(got, want) || r.OK() {
		t.Errorf("two missing: got %v %q, want false %q", r.OK(), got, want)
	}
	since := r.Conditions()[0].Since
	r.Set("redis", false, "still not")
	if got := r.Conditions()[0]; got.Since != since || got.Reason != "still not" {
		t.Errorf("a new reason for the same state: got %+v, want the old time %s and the new reason", got, since)
	}
	r.Set("redis", true, "")
	r.Set("zookeeper", true, "")
	if got := r.Reasons(); !r.OK() || len(got) != 0 {
		t.Errorf("all hold: got %v %q, want ready", r.OK(), got)
	}
}

func TestReadyFromManyGoroutines(t *testing.T) {
	var r lifecycle.Ready
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 200 {
				r.Set(fmt.Sprintf("c%d", (i+n)%5), n%2 == 0, "busy")
				r.OK()
				r.Reasons()
			}
		})
	}
	wg.Wait()
	if got := len(r.Conditions()); got != 5 {
		t.Errorf("got %d conditions, want 5", got)
	}
}

func TestReadyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r lifecycle.Ready
		r.Set("a", false, "not yet")
		r.Set("b", false, "not yet")
		done := make(chan error, 1)
		go func() { done <- r.Wait(t.Context()) }()
		r.Set("a", true, "")
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("Wait returned %v while b does not hold", err)
		default:
		}
		r.Set("b", true, "")
		if err := <-done; err != nil {
			t.Errorf("Wait: %v", err)
		}
		r.Set("a", false, "gone")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.Wait(ctx); err != context.Canceled {
			t.Errorf("Wait with an ended context: %v, want context.Canceled", err)
		}
	})
}

func TestAwaitHoldsForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r lifecycle.Ready
		var up atomic.Bool
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- r.Await(ctx, lifecycle.Requirement{Name: "redis", Met: func(context.Context) error {
				if up.Load() {
					return nil
				}
				return errors.New("connection refused")
			}}, lifecycle.Requirement{Name: "nothing", Met: func(context.Context) error { return nil }})
		}()
		synctest.Wait()
		if got := r.Reasons(); len(got) != 1 || got[0] != "redis: connection refused" {
			t.Errorf("reasons %q, want that of redis", got)
		}
		up.Store(true)
		if err := r.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		up.Store(false)
		<-time.After(time.Minute) // by the clock of the bubble
		if !r.OK() {
			t.Error("an outage after the start made the process unready")
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Await: %v", err)
		}
	})
}
