package hotcount

import (
	"bytes"
	"net/http"
	"strconv"
	"sync"
	"time"

	"eshop/pkg/admin"
)

// Bounds of the event streams.
const (
	maxStreams    = 32
	streamTimeout = 5 * time.Second  // of one write: a reader slower than that is let go
	heartbeat     = 15 * time.Second // a comment, when there was no event for so long
)

// live hands the newest event to every stream. A stream that is slow misses
// events; it holds up nobody and nothing is queued for it.
type live struct {
	mu      sync.Mutex
	streams int
	event   []byte
	changed chan struct{} // closed at the next event
	ended   bool
}

func newLive() *live { return &live{changed: make(chan struct{})} }

// show makes the next event, if anybody looks.
func (l *live) show(event func() []byte) {
	l.mu.Lock()
	watched := l.streams > 0
	l.mu.Unlock()
	if !watched {
		return
	}
	e := event()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.event = e
	close(l.changed)
	l.changed = make(chan struct{})
}

// end ends all streams, for good.
func (l *live) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.ended = true
		close(l.changed)
	}
}

// newest returns the last event, the channel that tells of the next, and whether
// there will be none.
func (l *live) newest() (event []byte, changed <-chan struct{}, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.event, l.changed, l.ended
}

// enter takes one of the places.
func (l *live) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.streams >= maxStreams || l.ended {
		return false
	}
	l.streams++
	return true
}

func (l *live) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.streams
}

func (l *live) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams--
	if l.streams == 0 {
		l.event = nil // it would be old when the next one comes
	}
}

// ServeHTTP streams server-sent events: one a second, each a JSON object.
func (l *live) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !l.enter() {
		w.Header().Set("Retry-After", "5")
		admin.Refuse(w, http.StatusServiceUnavailable, "there are "+strconv.Itoa(maxStreams)+" event streams already, or the process is ending: close a dashboard, or try again")
		return
	}
	defer l.leave()
	control := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	send := func(text []byte) bool { // the deadline of a whole answer is replaced by one for each write
		if control.SetWriteDeadline(time.Now().Add(streamTimeout)) != nil {
			return false
		}
		_, err := w.Write(text)
		return err == nil && control.Flush() == nil
	}
	if req.Method == http.MethodHead || !send([]byte("retry: 2000\n\n")) {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	var last []byte
	for {
		event, changed, ended := l.newest()
		if ended {
			return
		}
		if event != nil && (last == nil || &event[0] != &last[0]) {
			last = event
			if !send(event) {
				return
			}
			beat.Reset(heartbeat)
		}
		select {
		case <-changed:
		case <-beat.C:
			if !send([]byte(": still here\n\n")) {
				return
			}
		case <-req.Context().Done():
			return
		}
	}
}

// frame makes an event of a JSON text, which has no line breaks.
func frame(text []byte) []byte {
	return append(append(bytes.NewBufferString("data: ").Bytes(), text...), "\n\n"...)
}
