package origin

import (
	"errors"
	"fmt"
	"net/http"
)

var (
	// ErrOverloaded: the bulkhead is full: too many pulls wait, or none of the
	// requests before this one ended in time. Nothing was sent.
	ErrOverloaded = errors.New("the origin has as many requests as it may get")
	// ErrOpen: the breaker is open. Nothing was sent.
	ErrOpen = errors.New("the origin's breaker is open")
	// ErrBadAnswer: the origin answered something that is no document: not a
	// JSON object, too large, of another id, a redirect.
	ErrBadAnswer = errors.New("the origin gave a bad answer")
	// ErrHeld: pulls of this kind are held back (Deps.Held). Nothing was sent.
	ErrHeld = errors.New("pulls of this kind are held back")
	// ErrClosed: the client was closed.
	ErrClosed = errors.New("the origin client is closed")
)

// StatusError is an answer with a status other than 200 and 404.
type StatusError struct {
	Status int
}

// Error names the status.
func (e *StatusError) Error() string {
	if text := http.StatusText(e.Status); text != "" {
		return fmt.Sprintf("the origin answered %d %s", e.Status, text)
	}
	return fmt.Sprintf("the origin answered %d", e.Status)
}
