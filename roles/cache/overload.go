package cache

import (
	"cmp"
	"context"
	"errors"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"eshop/pkg/admission"
	"eshop/pkg/catalog"
	"eshop/pkg/docapi"
	"eshop/pkg/origin"
)

// overload bounds what readers make this process ask of the origin. What the
// heap or Redis answers meets none of it, nor do changes and the prewarm.
type overload struct {
	pulls *admission.Gate
	// unknown has a token for each pull that may end in 404. A pull takes it when
	// it has ended so, also one that is not there: that is paid back before the
	// next. Pulls of ids that exist are free.
	unknown *rate.Limiter
	refused prometheus.Counter
}

// pullsPerRequest is how many readers' pulls are let in for each request that the
// origin may get at once: a request takes up to a hundred of them.
const pullsPerRequest = 16

// pullsAtOnce is the bound of readers' pulls for so many requests.
func pullsAtOnce(requests int) int {
	return cmp.Or(max(0, requests), origin.DefaultConcurrency) * pullsPerRequest
}

// savedUp is how many unknown ids at a rate can be saved up: those of ten seconds.
func savedUp(rate float64) int { return max(1, int(10*rate)) }

func newOverload(cfg Config) *overload {
	return &overload{
		pulls: admission.NewGate(admission.Config{Name: "origin", Slots: pullsAtOnce(cfg.Origin.Concurrency), Queue: 4096,
			Interval: time.Second, Target: 200 * time.Millisecond}),
		unknown: rate.NewLimiter(rate.Limit(cfg.UnknownRate), savedUp(cfg.UnknownRate)),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "eshop_cache_unknown_refused_total",
			Help: "Reads of ids that Redis does not have, refused because too many such ids did not exist."}),
	}
}

func (o *overload) collectors() []prometheus.Collector {
	return append(o.pulls.Collectors(), o.refused)
}

// admitted runs a reader's pull when there is room for it. The caller has found
// nothing in Redis, or could not look there.
//
// Nobody can tell an id that was made up from that of a product which nobody has
// asked for yet, before the origin has. So while ids that do not exist are asked
// for faster than UnknownRate, by however many clients, both wait their turn at
// the rate of the first. What has been announced, or was ever in Redis, does not.
func (r *Role) admitted(ctx context.Context, key catalog.Key, min catalog.Stamp, why purpose, pull func() (docapi.Reply, error)) (docapi.Reply, error) {
	o := r.overload
	if why == pullForRead && min.IsZero() && o.unknown.Tokens() < 1 {
		if reply, ok := r.stale(key, min); ok {
			return reply, nil
		}
		o.refused.Inc()
		return docapi.Reply{}, &docapi.Unavailable{Reason: "too many ids that do not exist are asked for", RetryAfter: admission.Spread(0)}
	}
	pass, err := o.pulls.Enter(ctx)
	if err != nil {
		if reply, ok := r.stale(key, min); ok {
			return reply, nil
		}
		return docapi.Reply{}, err
	}
	defer pass.Leave()
	return pull()
}

// spend takes the token of a pull that ended in 404. The debt ends at a burst.
func (o *overload) spend() {
	if o.unknown.Tokens() > -float64(o.unknown.Burst()) {
		o.unknown.ReserveN(time.Now(), 1)
	}
}

// retryAfter reads from an error of a load when to come back.
func retryAfter(err error, otherwise time.Duration) time.Duration {
	var refused *admission.Refused
	if errors.As(err, &refused) {
		return refused.RetryAfter
	}
	return otherwise
}

// Connections of the listener, at once and from one address. Callers are the
// gateways, each of which has a few hundred.
const (
	maxConnections        = 8192
	maxConnectionsPerHost = 4096
)

func bound(l net.Listener) net.Listener {
	return admission.Limit(l, admission.ListenerConfig{Connections: maxConnections, PerAddress: maxConnectionsPerHost})
}
