package zookeeper

import (
	"context"
	"sync/atomic"

	"github.com/go-zookeeper/zk"
)

type result[T any] struct {
	value T
	err   error
}

// call runs one request of the client library, which takes no context, beside
// its caller, who returns when ctx ends or the link is gone. In that case the
// error is an abandonedError and late, if given, gets the result when it is
// known; in every other case late is never called. An error from before the
// request was sent is an unsentError.
//
// A request left behind ends with its connection, which the heartbeat cuts
// when it is silent. Their number is bounded by Config.MaxCalls.
func call[T any](ctx context.Context, l *link, do func(*zk.Conn) (T, error), late func(T, error)) (T, error) {
	var none T
	select {
	case l.calls <- struct{}{}:
	case <-ctx.Done():
		return none, &unsentError{context.Cause(ctx)}
	case <-l.gone:
		return none, &unsentError{errGone}
	}
	if ctx.Err() != nil {
		<-l.calls
		return none, &unsentError{context.Cause(ctx)}
	}
	return callUnbounded(ctx, l, do, late, func() { <-l.calls })
}

// callUnbounded is call without the bound, for the heartbeat: it must get
// through when all places are taken, and there is one at a time.
func callUnbounded[T any](ctx context.Context, l *link, do func(*zk.Conn) (T, error), late func(T, error), free func()) (T, error) {
	var none T
	done := make(chan result[T], 1)
	var settled atomic.Bool // set by whoever decides where the result goes
	started := l.start(func() {
		l.s.metrics.calls.Inc()
		value, err := do(l.conn)
		err = explain(err)
		l.s.metrics.calls.Dec()
		free()
		if settled.CompareAndSwap(false, true) {
			done <- result[T]{value, err}
		} else if late != nil {
			late(value, err)
		}
	})
	if !started {
		free()
		return none, &unsentError{errGone}
	}
	var cause error
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		cause = context.Cause(ctx)
	case <-l.gone:
		cause = errGone
	}
	if !settled.CompareAndSwap(false, true) {
		r := <-done // being filled at this moment
		return r.value, r.err
	}
	return none, &abandonedError{cause}
}
