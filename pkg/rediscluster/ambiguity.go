package rediscluster

import (
	"context"
	"errors"
	"net"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// The library sends a write again when the connection broke before the answer
// came. If the first attempt was carried out, the second finds its own stamp
// and is refused, and the caller would not tell anybody of a change it made. So
// a call notes whether an answer was lost on the way.

type ambiguityKey struct{}

// ambiguity is set by the hooks of the nodes during one call.
type ambiguity struct{ lost atomic.Bool }

func withAmbiguity(ctx context.Context) (context.Context, *ambiguity) {
	a := &ambiguity{}
	return context.WithValue(ctx, ambiguityKey{}, a), a
}

// sent notes the error of one attempt of a call.
func sent(ctx context.Context, err error) {
	if a, ok := ctx.Value(ambiguityKey{}).(*ambiguity); ok && answerLost(err) {
		a.lost.Store(true)
	}
}

// answerLost reports whether a command may have been carried out although its
// attempt ended in err.
func answerLost(err error) bool {
	var reply redis.Error
	var dial *net.OpError
	switch {
	case err == nil, errors.As(err, &reply): // the server answered
		return false
	case errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrClosed): // nothing was sent
		return false
	case errors.As(err, &dial) && dial.Op == "dial":
		return false
	}
	return true
}
