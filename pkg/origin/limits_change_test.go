package origin_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"eshop/pkg/origin"
)

// More requests go out at once as soon as more may, and fewer again.
func TestConcurrencyCanBeChanged(t *testing.T) {
	g := newGate(answerDocuments)
	s := serve(t, g.handle)
	defer g.release()
	c := client(t, origin.Config{BaseURL: s.URL, Concurrency: 1, Timeout: 20 * time.Second}, origin.Deps{})
	var wg sync.WaitGroup
	id := int64(0)
	come := func(n int) {
		for range n {
			id++
			key := shop(id)
			wg.Go(func() {
				if _, err := c.Pull(t.Context(), key); err != nil {
					t.Errorf("pull %v: %v", key, err)
				}
			})
		}
	}
	at := func(n int) func() bool { return func() bool { all, _, _ := s.seen(); return all == n } }
	come(3)
	until(t, "one request is at the origin", at(1))
	c.SetLimits(20*time.Second, 2)
	come(4)
	until(t, "two more are there", at(3))
	c.SetLimits(20*time.Second, 1)
	come(2)
	until(t, "and one more", at(4))
	g.release()
	wg.Wait()
	if n, _, _ := s.seen(); n != 9 {
		t.Errorf("%d requests were made for 9 documents", n)
	}
}

// The deadline of a request is the one in force when it was made.
func TestTimeoutCanBeChanged(t *testing.T) {
	slow := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-slow:
		case <-r.Context().Done():
		}
		answerDocuments(w, r)
	})
	defer close(slow)
	c := client(t, origin.Config{BaseURL: s.URL, Timeout: time.Hour}, origin.Deps{})
	c.SetLimits(20*time.Millisecond, 4)
	done := make(chan error, 1)
	go func() { _, err := c.Pull(t.Context(), shop(1)); done <- err }()
	select {
	case err := <-done:
		if err == nil {
			t.Error("a request without an answer succeeded")
		}
	case <-time.After(20 * time.Second):
		t.Error("the request has the deadline of an hour still")
	}
}
