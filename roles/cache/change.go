package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/kafka"
	"eshop/pkg/origin"
	"eshop/pkg/rediscluster"
)

// changeKey tells the group consumer which changes must stay in order. An
// unreadable message has no key: it goes to the dead letters.
func (r *Role) changeKey(rec kafka.Record) (string, error) {
	ch, err := r.cat.ParseChange(rec.Value)
	if err != nil {
		return "", err
	}
	return ch.Key.String(), nil
}

// handleChange applies one message of the change feed. It returns nil only when
// the effect is in Redis and on the bus (invariant 4); any other error makes the
// consumer try again, so each step may be done twice.
func (r *Role) handleChange(ctx context.Context, rec kafka.Record) error {
	ch, err := r.cat.ParseChange(rec.Value)
	if err != nil {
		return kafka.Reject(err)
	}
	outcome, err := r.applyChange(ctx, ch, rec.Time)
	switch {
	case err == nil:
		r.metrics.changeLag.Observe(max(0, time.Since(rec.Time).Seconds()))
	case errors.Is(err, errAnnounced):
		if time.Since(rec.Time) > r.cfg.AnnounceLimit {
			r.metrics.changes.WithLabelValues("rejected").Inc()
			return kafka.Reject(err)
		}
		outcome = "waiting"
	case ctx.Err() != nil:
		return err
	default:
		outcome = "retry"
		r.log.Warn("a change could not be applied and will be tried again", "key", ch.Key, "err", err)
	}
	r.metrics.changes.WithLabelValues(outcome).Inc()
	return err
}

// errAnnounced: the message announced more than the origin shows.
var errAnnounced = errors.New("the origin does not show what the message announced")

// applyChange pulls under a token taken after the message was received, writes,
// and announces what Redis holds. The result is announced whatever the write
// did: after a crash between the two, the retry finds its own write in Redis and
// the fleet must still hear of it.
func (r *Role) applyChange(ctx context.Context, ch catalog.Change, produced time.Time) (outcome string, err error) {
	ticket, err := r.zk.Enqueue(ctx, lockName(ch.Key))
	if err != nil {
		return "", fmt.Errorf("take the lock of %v: %w", ch.Key, err)
	}
	defer ticket.Release()
	wait, cancel := context.WithTimeout(ctx, r.cfg.LockWait)
	err = ticket.Wait(wait) // in vain: the token alone is enough
	cancel()
	if err != nil && ctx.Err() != nil {
		return "", ctx.Err()
	}
	// A lost ticket means that this process may have been paused for long: give
	// up this attempt. The token would fence a late write in any case.
	ctx, cancel = ticket.Context(ctx)
	defer cancel()

	got, err := r.origin.Pull(ctx, ch.Key)
	if err != nil {
		return "", err
	}
	floor := r.floor.Of(ch.Key)
	doc := document(ch.Key, got, catalog.Stamp{Epoch: floor.Epoch, Token: ticket.Token()})
	written, out, err := r.write(ctx, changeOp(ch.Op, got.State), doc)
	if err != nil {
		return "", err
	}
	inv := catalog.Invalidation{Key: ch.Key, Stamp: written.Stamp, State: written.State.String()}
	if !produced.IsZero() {
		inv.Changed = produced.UnixMilli()
	}
	// Our own copies first: whoever asks us because of the message finds it.
	r.floor.Raise(ch.Key, written.Stamp)
	r.Changed(inv)
	r.keep(written)
	if err := r.publisher.Publish(ctx, inv); err != nil {
		return "", err
	}
	if err := announced(ch, got); err != nil {
		return "", err
	}
	switch {
	case !out.Accepted:
		return "refused", nil // Redis already held a later copy
	case written.State == catalog.Tombstone:
		return "deleted", nil
	}
	return "applied", nil
}

func changeOp(op catalog.Op, state catalog.State) rediscluster.Op {
	switch {
	case op == catalog.OpForce && state == catalog.Live:
		return rediscluster.Force
	case op == catalog.OpForce:
		return rediscluster.ForceTombstone
	case state == catalog.Live:
		return rediscluster.Put
	}
	return rediscluster.Tombstone
}

// announced compares what the message said with what the origin showed. An
// origin that answers from a lagging copy is asked again; what it did show has
// been applied and, being older, loses to what comes.
func announced(ch catalog.Change, got origin.Result) error {
	switch {
	case ch.Op == catalog.OpDelete && got.State == catalog.Live:
		return fmt.Errorf("%w: %v was said to be deleted and is still there", errAnnounced, ch.Key)
	case ch.Version > 0 && ch.Op == catalog.OpUpdate && got.State == catalog.Live && got.Field != "" && got.Version < ch.Version:
		return fmt.Errorf("%w: version %d of %v was said to exist, it shows %d", errAnnounced, ch.Version, ch.Key, got.Version)
	}
	return nil
}
