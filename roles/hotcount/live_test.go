package hotcount

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestStreamOutlastsTheDeadlines: those of the server are for ordinary requests;
// a stream has one for each write.
func TestStreamOutlastsTheDeadlines(t *testing.T) {
	l := newLive()
	s := httptest.NewUnstartedServer(l)
	s.Config.ReadTimeout, s.Config.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
	s.Start()
	defer s.Close()
	resp, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := range 25 { // half a second
		<-tick.C
		l.show(func() []byte { return frame(fmt.Appendf(nil, "%d", n)) })
		want := fmt.Sprintf("data: %d", n)
		for lines.Scan() && lines.Text() != want {
			if strings.HasPrefix(lines.Text(), "data: ") {
				t.Errorf("got %q, want %q", lines.Text(), want)
			}
		}
		if lines.Err() != nil || lines.Text() != want {
			t.Fatalf("event %d: the stream ended: %v", n, lines.Err())
		}
	}
	l.end()
	for lines.Scan() {
	}
	if lines.Err() != nil {
		t.Errorf("the stream ended with %v", lines.Err())
	}
	if resp, err := http.Get(s.URL); err != nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("after the end: got %v %v, want 503", resp, err)
	} else {
		resp.Body.Close()
	}
}

// TestNobodyLooks: without a stream no event is made.
func TestNobodyLooks(t *testing.T) {
	newLive().show(func() []byte {
		t.Error("an event was made")
		return nil
	})
}
