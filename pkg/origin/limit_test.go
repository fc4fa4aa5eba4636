package origin_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/catalog"
	"eshop/pkg/origin"
)

// More callers than QueueLimit are refused at once; those inside are served,
// never more at a time than Concurrency (invariant 9).
func TestQueueLimit(t *testing.T) {
	g := newGate(answerDocuments)
	s := serve(t, g.handle)
	defer g.release()
	c := client(t, origin.Config{BaseURL: s.URL, Concurrency: 2, QueueLimit: 3, Timeout: 10 * time.Second}, origin.Deps{})
	var wg sync.WaitGroup
	errs := make(chan error, 100)
	for id := range int64(8) {
		wg.Go(func() { _, err := c.Pull(t.Context(), shop(id+1)); errs <- err })
	}
	until(t, "three callers are refused", func() bool { return len(errs) == 3 })
	for range 3 {
		if err := <-errs; !errors.Is(err, origin.ErrOverloaded) {
			t.Errorf("one too many: got %v, want ErrOverloaded", err)
		}
	}
	until(t, "two requests are at the origin", func() bool { n, _, _ := s.seen(); return n == 2 })
	if _, err := c.PullMany(t.Context(), []catalog.Key{shop(1)}); !errors.Is(err, origin.ErrOverloaded) {
		t.Errorf("many: got %v, want ErrOverloaded", err)
	}
	if n, _, _ := s.seen(); n != 2 {
		t.Errorf("%d requests are at the origin, want 2", n)
	}
	g.release()
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Errorf("a caller inside: got %v", err)
		}
	}
}

// A caller that leaves while its request waits for its turn takes it along;
// nothing is sent for nobody.
func TestAForsakenPullIsNotSent(t *testing.T) {
	g := newGate(answerDocuments)
	s := serve(t, g.handle)
	defer g.release()
	c := client(t, origin.Config{BaseURL: s.URL, Concurrency: 1, Timeout: 10 * time.Second}, origin.Deps{})
	first := make(chan error)
	go func() { _, err := c.Pull(t.Context(), shop(1)); first <- err }()
	until(t, "the first pull is at the origin", func() bool { n, _, _ := s.seen(); return n == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Pull(ctx, shop(2)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the second pull: got %v", err)
	}
	g.release()
	if err := <-first; err != nil {
		t.Errorf("the first pull: got %v", err)
	}
	if _, err := c.Pull(t.Context(), shop(3)); err != nil {
		t.Errorf("the third pull: got %v", err)
	}
	for _, p := range s.paths {
		if strings.Contains(p, "shopId=2") {
			t.Error("the forsaken pull was sent")
		}
	}
}

// A caller that leaves does not take along those who share its batch.
func TestALeaverHarmsNobody(t *testing.T) {
	g := newGate(answerDocuments)
	s := serve(t, g.handle)
	defer g.release()
	c := client(t, origin.Config{BaseURL: s.URL, BatchWindow: 100 * time.Millisecond, Timeout: 10 * time.Second}, origin.Deps{})
	results := make(chan error, 3)
	go func() { _, err := c.Pull(t.Context(), product(1)); results <- err }()
	until(t, "the first pull is at the origin", func() bool { n, _, _ := s.seen(); return n == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := c.Pull(ctx, product(2)); !errors.Is(err, context.DeadlineExceeded) { // gathers, then leaves
		t.Errorf("the leaver: got %v", err)
	}
	for _, id := range []int64{2, 3} {
		go func() { _, err := c.Pull(t.Context(), product(id)); results <- err }()
	}
	until(t, "the batch is at the origin", func() bool { n, _, _ := s.seen(); return n == 2 })
	g.release()
	for range 3 {
		if err := <-results; err != nil {
			t.Errorf("one who stayed: got %v", err)
		}
	}
}

// The whole way: failures open the breaker, the origin gets nothing while it is
// open, probes close it; the metrics say so.
func TestBreakerAndMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := serve(t, nil)
	c := client(t, origin.Config{BaseURL: s.URL, Breaker: origin.Breaker{MinRequests: 4, Delay: 50 * time.Millisecond}}, origin.Deps{Registry: reg})
	pull := func(id int64) error { _, err := c.Pull(t.Context(), product(id)); return err }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // neither 404 nor callers that are gone are failures
		if err := pull(901); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Pull(ctx, product(1)); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	s.answers(status(500))
	until(t, "the breaker is open", func() bool { return errors.Is(pull(1), origin.ErrOpen) })
	s.answers(answerDocuments)
	until(t, "the breaker is closed", func() bool { return pull(1) == nil && pull(2) == nil })
	got := gather(t, reg)
	if state, ok := got["eshop_breaker_state origin"]; !ok || state != 0 {
		t.Errorf("the breaker's state: got %v, want 0", state)
	}
	outcome := func(word string) float64 { return got["eshop_origin_pulls_total product "+word] }
	if outcome("absent") != 20 || outcome("cancelled") != 20 || outcome("error") < 4 || outcome("open") < 1 || outcome("live") < 2 {
		t.Errorf("pulls by outcome: got %v", got)
	}
	if _, err := origin.New(origin.Config{BaseURL: s.URL}, catalog.Default(), origin.Deps{Registry: reg}); err == nil {
		t.Error("metrics registered twice: no error")
	}
}

// gather returns the counters and gauges by name and label values.
func gather(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			name := f.GetName()
			for _, l := range []string{"dependency", "kind", "outcome", "form"} {
				if v, ok := labels[l]; ok {
					name += " " + v
				}
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return got
}

// Many callers, slow and fast answers, leavers and a shutdown at once.
func TestStress(t *testing.T) {
	s := serve(t, nil)
	c := client(t, origin.Config{BaseURL: s.URL, BatchWindow: time.Millisecond, BatchMax: 7}, origin.Deps{})
	var wg sync.WaitGroup
	for w := range int64(16) {
		wg.Go(func() {
			for i := range int64(60) {
				id := (w*31+i*7)%950 + 1
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+i%40)*time.Millisecond)
				r, err := c.Pull(ctx, product(id))
				cancel()
				switch {
				case err != nil && !errors.Is(err, context.DeadlineExceeded):
					t.Errorf("product %d: %v", id, err)
				case err == nil && id <= 900 && string(r.Body) != body(id), err == nil && (id > 900) != (r.State == catalog.Absent):
					t.Errorf("product %d: got %+v", id, r)
				}
			}
		})
	}
	wg.Wait()
}

func FuzzAnswers(f *testing.F) {
	for _, s := range []string{body(7), `{"id":8}`, `[]`, `{}}`, `{"id":"7"}`, ``, `[{"id":7},{"id":7}]`, `{"id":7,"id":8}`} {
		f.Add([]byte(s))
	}
	s := serve(f, nil)
	c := client(f, origin.Config{BaseURL: s.URL, MaxBody: 4096}, origin.Deps{})
	f.Fuzz(func(t *testing.T, answer []byte) {
		s.answers(text(string(answer)))
		r, err := c.Pull(t.Context(), product(7))
		if err != nil {
			if !errors.Is(err, origin.ErrBadAnswer) {
				t.Fatalf("%q: got %v, want ErrBadAnswer", answer, err)
			}
			return
		}
		fields, ferr := catalog.TopLevel(r.Body, []string{"id"})
		if id, named := catalog.RawID(fields[0]); ferr != nil || named && id != 7 {
			t.Fatalf("%q was taken for product 7", answer)
		}
	})
}
