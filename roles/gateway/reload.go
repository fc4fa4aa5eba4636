package gateway

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/reload"
)

// adjustable are settings of Config that can be changed while the role runs and that nothing else holds. A hit reads one of
// them, as a number.
type adjustable struct {
	staleness atomic.Int64 // Config.MaxStaleness
	ttls      atomic.Pointer[ttls]
	batches   atomic.Pointer[batches]
}

// batches are the bounds of batches, and the document that tells clients the first of them (openapi.go).
type batches struct {
	ids, bytes int
	document   *page
}

func (r *Role) newBatches(l *Limits) (*batches, error) {
	document, err := r.newDocument(l.BatchIDs)
	return &batches{ids: l.BatchIDs, bytes: l.BatchBytes, document: document}, err
}

// ttls are the soft TTLs: that of kinds which have none of their own, and the others.
type ttls struct {
	common ttl
	kinds  map[string]ttl
}

type ttl struct{ min, max time.Duration }

func (l *adjustable) set(cfg *Config, cat *catalog.Catalog) {
	l.staleness.Store(int64(cfg.MaxStaleness))
	t := &ttls{common: ttl{cfg.SoftTTLMin, cfg.SoftTTLMax}, kinds: map[string]ttl{}}
	for _, name := range cat.KindNames() {
		if k := cat.Kind(name); k.SoftTTLMax > 0 {
			t.kinds[name] = ttl{k.SoftTTLMin, k.SoftTTLMax}
		}
	}
	l.ttls.Store(t)
}

func (l *adjustable) maxStaleness() time.Duration { return time.Duration(l.staleness.Load()) }

func (l *adjustable) softTTL(kind string) ttl {
	t := l.ttls.Load()
	if own, ok := t.kinds[kind]; ok {
		return own
	}
	return t.common
}

// Validate returns all that New would find wrong with the settings by themselves.
func (c Config) Validate() error { return c.complete() }

// Reload prepares for another configuration. What it takes over of that:
//
//	L1Bytes                        at once; what there is no room for leaves
//	SoftTTLMin, SoftTTLMax, kinds' for copies made from now on
//	MaxStaleness, Audit            at once
//	Template                       at once: pages are rendered anew when they are asked for
//	Limits of clients, of batches  for connections and requests to come; those there are stay
//	AccessLog but for its mode     for requests to come
//	ClusterToken                   at once
//
// Everything else stays as it is.
func (r *Role) Reload(next Config, cat *catalog.Catalog) (reload.Prepared, error) {
	r.passed.addressed(&next)
	held := map[string]string{}
	if err := next.complete(); err != nil {
		return reload.Prepared{}, err
	}
	if next.AccessLog.Mode != r.access.cfg.Mode {
		held["gateway.access-log"] = "another mode is written by another producer"
	}
	resize := r.l1.budget.Load() != next.L1Bytes
	if err := r.l1.checkResize(next.L1Bytes); err != nil {
		held["gateway.l1-bytes"], resize = "it is much smaller than at the start", false
	}
	moved, err := r.views.move(next.Template)
	hops, wrong := newHops(&next.Limits)
	batches, unfit := r.newBatches(&next.Limits)
	if err = errors.Join(err, wrong, unfit); err != nil {
		return reload.Prepared{}, fmt.Errorf("reload the settings of the gateway: %w", err)
	}
	return reload.Prepared{Held: held, Apply: func() {
		r.live.set(&next, cat)
		r.live.batches.Store(batches)
		r.tokens.Set(next.ClusterToken)
		if r.subscriber != nil {
			r.subscriber.SetMaxStaleness(next.MaxStaleness)
		}
		if r.auditor != nil {
			r.auditor.SetRate(next.Audit)
		}
		if resize {
			r.overload.memory.SetBudget(next.L1Bytes)
			if err := r.l1.resize(next.L1Bytes); err != nil { // it was checked, and only Reload changes it
				r.log.Error("L1 could not be resized", "err", err)
			}
		}
		moved()
		r.overload.reload(&next.Limits, hops)
		r.loads.SetMaxWaiters(next.Limits.Waiting)
		r.forwards.SetMaxWaiters(next.Limits.Waiting)
		form := newRecordForm(&next.AccessLog)
		if next.AccessLog.Mode != r.access.cfg.Mode {
			form.sample = r.access.cfg.Sample
		}
		r.access.recorder.form.Store(form)
	}}, nil
}

// reload changes what clients can take.
func (o *overload) reload(l *Limits, hops *hops) {
	o.limit.Store(int64(l.Waiting))
	o.unknown.hops.Store(hops)
	o.unknown.rates.SetLimits(l.UnknownRate, l.UnknownBurst)
	if public := o.public.Load(); public != nil {
		public.SetLimits(l.Connections, l.ConnectionsPerAddress)
	}
	if peer := o.peer.Load(); peer != nil {
		peer.SetLimits(max(l.Connections, peerConnections), 0)
	}
}
