package gateway

import (
	"context"
	"time"

	"eshop/pkg/admin"
	"eshop/pkg/catalog"
	"eshop/pkg/degrade"
	"eshop/pkg/rediscluster"
	"eshop/pkg/ring"
)

// mount adds this role's part to the admin API.
func (r *Role) mount(a *admin.Server) {
	r.fleet = newFleet(r, a)
	a.Explain("gateway", r.explain)
	a.ExplainURL(r.explainURL)
	a.Purge("gateway", r.l1.purge)
	a.AddSection("gateway", func() any { return r.status() })
	a.AddSection("gateway_overload", func() any { return r.overload.status() })
	degrade.API{Client: r.degraded.client, State: &r.degraded.state, Kinds: r.cat.KindNames()}.Serve(a)
}

// explain tells what each level this role can see holds of a document.
func (r *Role) explain(ctx context.Context, key catalog.Key) any {
	out := map[string]any{"floor": r.floor.Of(key).String(), "gateway": r.cfg.ID}
	if e := r.l1.get(key); e != nil {
		out["l1"] = copyInL1{Copy: admin.CopyOf(e.doc), Life: lifeOf(e.flag), Usable: r.usable(e, time.Now())}
	} else if f := r.l1.index.find(key); f != nil {
		// The document was evicted, pages built from it are still here.
		out["l1Pages"] = lifeOf(f)
	}
	for name, from := range map[string]rediscluster.From{"redisMaster": rediscluster.FromMaster, "redisReplica": rediscluster.FromReplica} {
		if res := r.store.GetMany(ctx, []catalog.Key{key}, from)[0]; res.Err != nil {
			out[name] = map[string]string{"error": res.Err.Error()}
		} else {
			out[name] = admin.CopyOf(res.Document)
		}
	}
	if rg := r.peers.Ring(); rg != nil {
		if m, ok := rg.Owner(ring.Hash(key.Kind, key.ID)); ok {
			out["owner"] = m.ID
		}
	}
	out["hot"], out["degraded"] = r.hot.explain(key), r.degraded.state.Explain(key.Kind)
	return out
}

type copyInL1 struct {
	admin.Copy
	Life   life `json:"life"`
	Usable bool `json:"usable"`
}

// life is a flag as the admin API shows it.
type life struct {
	State       string `json:"state"`
	Stamp       string `json:"stamp"`
	VerifiedAgo string `json:"verifiedAgo"`
	FreshFor    string `json:"freshFor"`
}

func lifeOf(f *flag) life {
	state := "live"
	switch f.state.Load() {
	case superseded:
		state = "superseded"
	case gone:
		state = "gone"
	}
	now := time.Now()
	return life{State: state, Stamp: f.stamp.String(),
		VerifiedAgo: now.Sub(time.Unix(0, f.verified.Load())).Round(time.Millisecond).String(),
		FreshFor:    time.Unix(0, f.soft.Load()).Sub(now).Round(time.Millisecond).String()}
}

// status is the role's section of /api/status.
func (r *Role) status() any {
	s := map[string]any{
		"id": r.cfg.ID, "addr": r.Addr(), "peerAddr": r.PeerAddr(),
		"pages": r.l1.pages.Len(), "documents": r.l1.docs.Len(), "negative": r.l1.absents.Len(), "lineages": r.l1.index.len(), "l1Bytes": r.l1.bytes(),
		"floorKeys": r.floor.Len(), "busBehind": r.trust().Behind(time.Now().UnixNano()), "waiting": r.loads.Waiting() + r.forwards.Waiting(),
	}
	if r.access.on() {
		s["accessLog"] = r.access.status()
	}
	s["hot"], s["warm"], s["degraded"] = r.hot.status(time.Now()), r.warm.status(), r.degraded.state.Status()
	if r.auditor != nil {
		s["audit"] = r.auditor.Status()
	}
	if rg := r.peers.Ring(); rg != nil {
		s["ring"] = rg.Members()
	}
	if r.subscriber != nil {
		s["invalidation"] = r.subscriber.Status()
		if w := r.subscriber.Watermark(); !w.IsZero() {
			s["watermark"] = w
		}
	}
	return s
}
