package admin

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// aliveLimit is how long /-/healthy waits for the parts. They look at memory only, so that is very long; a
// machine with far too much to do must not be taken for a deadlock.
const aliveLimit = 5 * time.Second

// Alive returns nil when every part of the process that AddSection was told of can tell its state. For
// that each takes the locks of what it is made of, and waits for nothing else: a process of which a part
// is deadlocked is not alive, one that has lost a server it depends on is. The error, once ctx has ended,
// names the first part that did not answer.
//
// However often it is called, at most one goroutine waits for a part.
func (s *Server) Alive(ctx context.Context) error {
	for _, sec := range s.added() {
		if err := sec.look(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s section) look(ctx context.Context) error {
	stuck := func() error {
		return fmt.Errorf("the part %q does not tell its state: %w", s.title, context.Cause(ctx))
	}
	select {
	case s.looking <- struct{}{}:
	case <-ctx.Done():
		return stuck()
	}
	told := make(chan struct{})
	go func() {
		defer func() {
			recover() // whoever asks for the status page is told; a part that panics is not deadlocked
			<-s.looking
			close(told)
		}()
		s.value()
	}()
	select {
	case <-told:
		return nil
	case <-ctx.Done():
		return stuck()
	}
}

func (s *Server) healthy(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), aliveLimit)
	defer cancel()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err := s.Alive(ctx); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, err)
		return
	}
	fmt.Fprintln(w, "healthy")
}
