package traffic_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"eshop/pkg/traffic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server answers without a network, so that time can be synctest's.
type server struct {
	mu       sync.Mutex
	answer   func(ctx context.Context, id int64) int // the status code, 0: no answer
	at       []time.Time                             // of all requests
	ids      []int64
	underWay int
	most     int // requests under way at a time
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	id, err := strconv.ParseInt(r.URL.Query().Get("productId"), 10, 64)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.at, s.ids = append(s.at, time.Now()), append(s.ids, id)
	s.underWay++
	s.most = max(s.most, s.underWay)
	answer := s.answer
	s.mu.Unlock()
	code := answer(r.Context(), id)
	s.mu.Lock()
	s.underWay--
	s.mu.Unlock()
	if code == 0 {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: code, Status: strconv.Itoa(code), Body: io.NopCloser(strings.NewReader("page")), Request: r}, nil
}

// turn makes the server answer in another way.
func (s *server) turn(answer func(context.Context, int64) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// count of the requests for an id (0: for any) in [from, to).
func (s *server) count(id int64, from, to time.Time) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, at := range s.at {
		if !at.Before(from) && at.Before(to) && (id == 0 || s.ids[i] == id) {
			n++
		}
	}
	return n
}

// after answers with code after a while.
func after(d time.Duration, code int) func(context.Context, int64) int {
	return func(ctx context.Context, _ int64) int {
		select {
		case <-time.After(d):
			return code
		case <-ctx.Done():
			return 0
		}
	}
}

// start runs a load until the returned function is called, which says how long Run took to return.
func start(t *testing.T, cfg traffic.Config, transport http.RoundTripper) (l *traffic.Load, stop func() time.Duration) {
	t.Helper()
	l, err := traffic.New(cfg, traffic.Deps{Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	return l, func() time.Duration {
		t.Helper()
		began := time.Now()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v", err)
		}
		if n := l.Status().UnderWay; n != 0 {
			t.Errorf("%d requests are under way after Run", n)
		}
		return time.Since(began)
	}
}

const page = "http://shop.test/product?productId=%d"
