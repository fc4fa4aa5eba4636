package origin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

// guard is the bulkhead around the breaker around a request. In this order a
// full bulkhead is nothing the breaker hears of, and an open breaker gives the
// place in the bulkhead back at once.
//
// The permits are taken by hand instead of by a failsafe executor, because an
// executor counts everything that is no failure as a success: a caller that
// leaves while it waits would then close a half-open breaker.
type guard struct {
	breaker circuitbreaker.CircuitBreaker[any]
}

func newGuard(cfg Config, log *slog.Logger) *guard {
	b := cfg.Breaker
	return &guard{
		breaker: circuitbreaker.NewBuilder[any]().
			HandleIf(func(_ any, err error) bool { return trouble(err) }).
			WithFailureRateThreshold(float64(b.FailurePercent)/100, uint(b.MinRequests), b.Period).
			WithSuccessThreshold(uint(b.Probes)).
			WithDelay(b.Delay).
			WithJitterFactor(0.1).
			OnStateChanged(func(e circuitbreaker.StateChangedEvent) {
				log.Warn("The origin's breaker changed its state.", "from", e.OldState.String(), "to", e.NewState.String())
			}).
			Build(),
	}
}

// do runs fn when the bulkhead, may and the breaker let it, in this order: what
// may forbids says nothing of the origin to the breaker. ctx ends the wait for a
// place, not fn: what was sent is awaited until its own deadline, so that the
// breaker learns how it ended.
func (g *guard) do(ctx context.Context, l *limits, may func() error, fn func() ([]byte, error)) (body []byte, err error) {
	if err := ctx.Err(); err != nil { // with a free place, too
		return nil, err
	}
	if err := l.bulkhead.AcquirePermitWithMaxWait(ctx, l.timeout); err != nil {
		if errors.Is(err, bulkhead.ErrFull) {
			return nil, ErrOverloaded
		}
		return nil, err
	}
	defer l.bulkhead.ReleasePermit()
	if err := may(); err != nil {
		return nil, err
	}
	if !g.breaker.TryAcquirePermit() {
		return nil, ErrOpen
	}
	recorded := false
	defer func() {
		if !recorded { // fn panicked: the permit of a half-open breaker must not be lost
			g.breaker.RecordFailure()
		}
	}()
	body, err = fn()
	recorded = true
	g.breaker.RecordError(err) // a nil error counts as a success
	return body, err
}

// trouble reports whether an error says that the origin is in trouble, as
// opposed to one document or one request being wrong. A 404 is an answer.
func trouble(err error) bool {
	var status *StatusError
	switch {
	case err == nil, errors.Is(err, errNotFound), errors.Is(err, ErrBadAnswer), errors.Is(err, ErrClosed):
		return false
	case errors.As(err, &status):
		return status.Status >= 500 || status.Status == http.StatusTooManyRequests
	}
	return true
}

// state is the breaker's as a metric: 0 closed, 1 half-open, 2 open.
func (g *guard) state() float64 {
	switch g.breaker.State() {
	case circuitbreaker.HalfOpenState:
		return 1
	case circuitbreaker.OpenState:
		return 2
	}
	return 0
}
