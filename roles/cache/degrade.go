package cache

import (
	"context"
	"errors"

	"eshop/pkg/catalog"
	"eshop/pkg/coherence"
	"eshop/pkg/degrade"
	"eshop/pkg/docapi"
	"eshop/pkg/rediscluster"
)

// held returns why nothing of a kind may be pulled from the origin now, nil if it
// may. The origin client asks it before each pull, so nothing gets past it; who
// asks it earlier spares the locks and tokens of a pull that will not be.
func (r *Role) held(kind string) error { return r.forbidden(kind, degrade.NoOrigin) }

// paused is held for work that nobody waits for: it is load on Redis as well.
func (r *Role) paused(kind string) error {
	return r.forbidden(kind, degrade.NoOrigin|degrade.StaleOnly)
}

func (r *Role) forbidden(kind string, modes degrade.Modes) error {
	if e := r.switches.Forbids(kind, modes); e != nil {
		return &docapi.Unavailable{Reason: e.Error(), RetryAfter: e.RetryAfter()}
	}
	return nil
}

// withoutOrigin answers a reader while the origin must not be asked: what the
// master holds, if the replica had nothing, else the heap's copy, marked; never
// one below min. What was to be pulled anew is marked in any case.
func (r *Role) withoutOrigin(ctx context.Context, key catalog.Key, min catalog.Stamp, why purpose, cause error) (docapi.Reply, error) {
	v := r.moment()
	doc, err := r.store.Get(ctx, key, rediscluster.FromMaster)
	if err == nil && coherence.Reaches(doc, min) {
		reply := r.answer(doc, docapi.LayerRedis, v)
		reply.Stale = why.asksOrigin()
		return reply, nil
	}
	if reply, ok := r.stale(key, min); ok {
		return reply, nil
	}
	return docapi.Reply{}, errors.Join(cause, err)
}

// informed waits until this process has heard which switches there are: it must
// not pull at its start what the fleet leaves alone. What it holds up needs
// ZooKeeper itself.
func (r *Role) informed(run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-r.switches.Heard():
			return run(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

func (r *Role) followSwitches(ctx context.Context) error {
	r.switches.Run(ctx, r.degrader, nil)
	return nil
}
