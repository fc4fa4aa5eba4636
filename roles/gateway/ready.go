package gateway

import (
	"context"
	"time"

	"eshop/pkg/membership"
)

// watch keeps the flag that tells whether the bus vouches for copies. A tick
// of a fiftieth of the limit adds that much to it at most.
func (r *Role) watch(ctx context.Context) {
	tick := time.NewTicker(min(max(r.cfg.MaxStaleness/50, 20*time.Millisecond), time.Second))
	defer tick.Stop()
	for {
		if behind := r.subscriber.Behind(); r.behind.Swap(behind) != behind {
			r.log.Info("invalidation bus", "behind", behind, "watermark", r.subscriber.Watermark())
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// watchReady tells what the role waits for. Each condition holds for good once
// it held: a dependency that goes away later is survived (invariant 12), and if
// all gateways went unready together there would be no shop at all.
func (r *Role) watchReady(ctx context.Context, peers *membership.Group) {
	conditions := []struct {
		name string
		met  func() (bool, string)
	}{
		{"gateway redis", func() (bool, string) {
			ctx, cancel := context.WithTimeout(ctx, r.cfg.ReadyTimeout)
			defer cancel()
			if err := r.redis.Ping(ctx); err != nil {
				return false, err.Error()
			}
			return true, ""
		}},
		{"gateway zookeeper", func() (bool, string) {
			return peers.Known() && r.cacheRing.Known(), "waiting for ZooKeeper to list the members"
		}},
		{"gateway kafka", func() (bool, string) {
			return r.subscriber.CaughtUp(), "reading the topic " + r.cfg.TopicInvalidate + " from Kafka"
		}},
		{"gateway cache members", func() (bool, string) {
			rg := r.cacheRing.Ring()
			return rg != nil && rg.Len() > 0, "waiting for a process of the cache role"
		}},
	}
	for _, c := range conditions {
		r.ready.Set(c.name, false, "not looked at yet")
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	met := make([]bool, len(conditions))
	for left := len(conditions); left > 0; {
		for i, c := range conditions {
			if met[i] {
				continue
			}
			ok, reason := c.met()
			if ok {
				met[i], reason = true, ""
				left--
			}
			r.ready.Set(c.name, ok, reason)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	<-ctx.Done()
}
