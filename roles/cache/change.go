package cache

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/coherence"
	"eshop/pkg/kafka"
	"eshop/pkg/origin"
	"eshop/pkg/tracing"
)

// changeKey tells the group consumer which changes must stay in order. An
// unreadable message has no key: it goes to the dead letters.
func (r *Role) changeKey(rec kafka.Record) (string, error) {
	ch, err := r.cat.ParseChange(rec.Value)
	if err != nil {
		if id, ok := catalog.CanaryOf(rec.Value); ok {
			return "canary " + id, nil // no document's key has a space
		}
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
		if id, ok := catalog.CanaryOf(rec.Value); ok {
			return r.echo(ctx, id)
		}
		return kafka.Reject(err)
	}
	ctx, span := r.trace.Enter(ctx, tracing.Entry{Kind: tracing.Consumer, Name: "apply change", Get: rec.Header, Begins: true})
	defer span.End()
	if span.On() {
		span.Set(tracing.Message("process", rec.Topic, rec.Partition, rec.Offset, "")...)
		span.Set(tracing.Document(ch.Key))
	}
	at := attempt{rec.Partition, rec.Offset}
	switched := r.switches.Changed() // before the look at them: no change of theirs is missed
	outcome, err := "", r.held(ch.Key.Kind)
	if err == nil {
		outcome, err = r.applyChange(ctx, ch, rec.Time)
	} else {
		err = fmt.Errorf("%w: %w", origin.ErrHeld, err)
	}
	span.Fail(err)
	switch {
	case err == nil:
		r.attempts.forget(at)
		r.metrics.changeLag.Observe(max(0, time.Since(rec.Time).Seconds()))
	case ctx.Err() != nil:
		return err
	case hopeless(err) && r.attempts.since(at, time.Now()) > r.cfg.AnnounceLimit:
		r.attempts.forget(at)
		r.metrics.changes.WithLabelValues("rejected").Inc()
		span.Set(tracing.Outcome("rejected"))
		return kafka.Reject(err)
	case errors.Is(err, origin.ErrHeld):
		r.attempts.forget(at) // its patience begins anew
		outcome, err = "held", kafka.Postpone(switched, err)
	case errors.Is(err, errAnnounced):
		outcome = "waiting"
	default:
		outcome = "retry"
		r.log.WarnContext(ctx, "a change could not be applied and will be tried again", "key", ch.Key, "err", err)
	}
	r.metrics.changes.WithLabelValues(outcome).Inc()
	span.Set(tracing.Outcome(outcome))
	return err
}

// echo answers a canary: eshop doctor waits for it. It is tried once, for nobody
// waits long.
func (r *Role) echo(ctx context.Context, id string) error {
	limited, cancel := context.WithTimeout(ctx, publishLimit)
	defer cancel()
	if err := r.publisher.Echo(limited, id); err != nil && ctx.Err() == nil {
		r.log.Warn("a canary is not answered", "canary", id, "err", err)
	}
	r.metrics.changes.WithLabelValues("canary").Inc()
	return ctx.Err()
}

// errAnnounced: the message announced more than the origin shows.
var errAnnounced = errors.New("the origin does not show what the message announced")

// hopeless reports whether an error is one of this document alone and not of an
// outage: it is worth some patience, but not that of all changes behind it.
func hopeless(err error) bool {
	var status *origin.StatusError
	if errors.As(err, &status) {
		switch status.Status {
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
			return false // the origin's door is shut to all
		}
		return status.Status >= 400 && status.Status < 500
	}
	return errors.Is(err, errAnnounced) || errors.Is(err, origin.ErrBadAnswer)
}

// publishLimit is how long one attempt waits for the brokers to take its
// announcement: a partition without a leader must not use up the handlers.
const publishLimit = 2 * time.Second

// applyChange pulls under a token taken after the message was received, writes,
// and announces what Redis holds. The result is announced whatever the write
// did: after a crash between the two, the retry finds its own write in Redis and
// the fleet must still hear of it.
func (r *Role) applyChange(ctx context.Context, ch catalog.Change, produced time.Time) (outcome string, err error) {
	written, got, accepted, err := r.rebuild(ctx, ch)
	if err != nil {
		return "", err
	}
	inv := catalog.Invalidation{Key: ch.Key, Stamp: written.Stamp, State: written.State.String()}
	if !produced.IsZero() {
		inv.Changed = produced.UnixMilli()
	}
	limited, cancel := context.WithTimeout(ctx, publishLimit)
	defer cancel()
	if err := r.publisher.Publish(limited, inv); err != nil {
		return "", err
	}
	if err := announced(ch, got); err != nil {
		return "", err
	}
	switch {
	case !accepted:
		if got.State == catalog.Live && got.Version < written.Stamp.Version {
			r.log.WarnContext(ctx, "a change was refused: the origin shows an older version than Redis holds; if it went back on purpose, announce it with op force",
				"key", ch.Key, "origin", got.Version, "redis", written.Stamp)
		}
		return "refused", nil
	case written.State == catalog.Tombstone:
		return "deleted", nil
	}
	return "applied", nil
}

// rebuild does the part of a change that is under the lock, and updates this
// process's own copies: whoever asks because of the announcement finds it.
func (r *Role) rebuild(ctx context.Context, ch catalog.Change) (written catalog.Document, got origin.Result, accepted bool, err error) {
	ticket, err := r.zk.Enqueue(ctx, lockName(ch.Key))
	if err != nil {
		return written, got, false, fmt.Errorf("take the lock of %v: %w", ch.Key, err)
	}
	defer ticket.Release()
	wait, cancel := context.WithTimeout(ctx, r.cfg.LockWait)
	err = ticket.Wait(wait) // in vain: the token alone is enough
	cancel()
	if err != nil && ctx.Err() != nil {
		return written, got, false, ctx.Err()
	}
	// A lost ticket means that this process may have been paused for long: give
	// up this attempt. The token would fence a late write in any case.
	ctx, cancel = ticket.Context(ctx)
	defer cancel()
	v := r.moment()
	if got, err = r.origin.Pull(ctx, ch.Key); err != nil {
		return written, got, false, err
	}
	known := r.known(ch.Key)
	op, doc := coherence.ForChange(ch.Op, known, document(ch.Key, got, coherence.Base(known, ticket.Token())))
	written, out, err := r.write(ctx, op, doc)
	if err != nil {
		return written, got, false, err
	}
	r.floor.Raise(ch.Key, written.Stamp)
	r.Changed(catalog.Invalidation{Key: ch.Key, Stamp: written.Stamp, State: written.State.String()})
	r.keep(written, v)
	return written, got, out.Accepted, nil
}

// known is the highest stamp this process has heard or seen of a document.
func (r *Role) known(key catalog.Key) catalog.Stamp {
	s := r.floor.Of(key)
	if e, ok := r.heap.docs.Get(key); ok && !e.doc.Provisional {
		s = s.Max(e.doc.Stamp)
	}
	return s
}

// announced compares what the message said with what the origin showed. An
// origin that answers from a lagging copy is asked again; what it did show has
// been applied and, being older, loses to what comes.
func announced(ch catalog.Change, got origin.Result) error {
	switch {
	case coherence.Shown(ch, got.State, got.Field, got.Version):
		return nil
	case ch.Op == catalog.OpDelete:
		return fmt.Errorf("%w: %v was said to be deleted and is still there", errAnnounced, ch.Key)
	}
	return fmt.Errorf("%w: version %d of %v was said to exist, it shows %d", errAnnounced, ch.Version, ch.Key, got.Version)
}
