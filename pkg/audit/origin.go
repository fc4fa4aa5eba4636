package audit

import (
	"context"
	"time"

	"eshop/pkg/catalog"
)

// origin compares one of OriginShare copies, which Redis agrees with, with the
// origin. stored is what Redis holds. The pull that this takes also writes what
// it finds, so a difference ends for the whole fleet.
func (a *Auditor) origin(ctx context.Context, c Copy, stored catalog.Document) {
	if a.share++; a.share < a.cfg.OriginShare || stored.State != catalog.Live || time.Now().Before(a.originAt) {
		return
	}
	if !c.Served() {
		return
	}
	a.share = 0
	// The pull itself ends what it finds out of date, by the bus or at once:
	// whether the copy is still served says nothing afterwards.
	reply, err := a.deps.Revalidate(ctx, c.Key, c.Stamp)
	switch {
	case err != nil || reply.Stale || reply.Document.Provisional:
		a.originAt = time.Now().Add(maxPause)
		a.metrics.count(c.Layer, "origin", "failed")
	case Sum(reply.Document) == c.Sum:
		a.metrics.count(c.Layer, "origin", string(same))
	default:
		a.metrics.count(c.Layer, "origin", string(stale))
		a.foundStale(c, reply.Document, "origin", since(stored, reply.Document))
	}
}

// since is from when on the origin has shown a document that is not the stored
// one: its version, if that is a time since the last pull, else that pull.
func since(stored, now catalog.Document) time.Time {
	if v := time.UnixMilli(now.Stamp.Version); now.State == catalog.Live && v.After(stored.Pulled) && v.Before(time.Now()) {
		return v
	}
	return stored.Pulled
}
