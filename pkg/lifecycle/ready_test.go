package lifecycle_test

import (
	"fmt"
	"sync"
	"testing"

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
