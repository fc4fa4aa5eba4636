package origin

import (
	"maps"
	"net/http"
	"sync"
	"time"

	"eshop/pkg/catalog"
)

// maxCounted bounds the keys that are counted one by one.
const maxCounted = 100_000

// meter counts what the readers ask and holds the fault knobs.
type meter struct {
	mu       sync.Mutex
	pulls    map[catalog.Key]int64
	requests int64
	delay    time.Duration
	failing  int
}

// Count returns how often a document was asked for by its readers, alone or in
// a batch, whatever the answer.
func (s *Server) Count(kind string, id int64) int64 {
	s.meter.mu.Lock()
	defer s.meter.mu.Unlock()
	return s.meter.pulls[catalog.Key{Kind: kind, ID: id}]
}

// Pulls returns Count of every document asked for so far.
func (s *Server) Pulls() map[catalog.Key]int64 {
	s.meter.mu.Lock()
	defer s.meter.mu.Unlock()
	return maps.Clone(s.meter.pulls)
}

// Requests returns the number of requests of readers; a batch is one.
func (s *Server) Requests() int64 {
	s.meter.mu.Lock()
	defer s.meter.mu.Unlock()
	return s.meter.requests
}

// SetDelay makes every answer to a reader take d longer; 0 ends it. The state
// of a document is read after the delay.
func (s *Server) SetDelay(d time.Duration) {
	s.meter.mu.Lock()
	defer s.meter.mu.Unlock()
	s.meter.delay = d
}

// SetFailing makes every answer to a reader have this status; 0 ends it.
func (s *Server) SetFailing(status int) {
	s.meter.mu.Lock()
	defer s.meter.mu.Unlock()
	s.meter.failing = status
}

func (m *meter) count(kind string, ids []int64) (delay time.Duration, failing int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
	for _, id := range ids {
		k := catalog.Key{Kind: kind, ID: id}
		if _, known := m.pulls[k]; known || len(m.pulls) < maxCounted {
			m.pulls[k]++
		}
	}
	return m.delay, m.failing
}

// pulled counts a reader's request and puts the faults on it. It reports
// whether the request is to be answered.
func (s *Server) pulled(w http.ResponseWriter, r *http.Request, kind string, ids ...int64) bool {
	delay, failing := s.meter.count(kind, ids)
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return false
		case <-s.life.Done():
			return false
		}
	}
	if failing != 0 {
		refuse(w, failing, "the sample origin was told to fail")
		return false
	}
	return true
}
