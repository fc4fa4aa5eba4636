package cache

import (
	"context"
	"time"

	"eshop/pkg/admin"
	"eshop/pkg/catalog"
	"eshop/pkg/rediscluster"
)

// explain tells what each level this role can see holds of a document.
func (r *Role) explain(ctx context.Context, key catalog.Key) any {
	out := map[string]any{"floor": r.floor.Of(key).String(), "degraded": r.switches.Explain(key.Kind)}
	if e, ok := r.heap.docs.Get(key); ok {
		out["l1"] = map[string]any{"copy": admin.CopyOf(e.doc), "verifiedAgo": time.Since(e.verified).Round(time.Millisecond).String(),
			"usable": r.usable(e, r.floor.Of(key), time.Now())}
	}
	if _, ok := r.heap.absent.Get(key); ok {
		out["absent"] = true
	}
	for name, from := range map[string]rediscluster.From{"redisMaster": rediscluster.FromMaster, "redisReplica": rediscluster.FromReplica} {
		if doc, err := r.store.Get(ctx, key, from); err != nil {
			out[name] = map[string]string{"error": err.Error()}
		} else {
			out[name] = admin.CopyOf(doc)
		}
	}
	if ring := r.group.Ring(); ring != nil {
		if owner, ok := ring.Owner(hashKey(key)); ok {
			out["owner"] = owner.ID
		}
	}
	return out
}

// purge forgets the heap's copy of a document.
func (r *Role) purge(key catalog.Key) bool {
	absent := r.heap.absent.Remove(key)
	return r.heap.docs.Remove(key) || absent
}

// status is the role's part of the status page.
func (r *Role) status() any {
	members := []string{}
	if ring := r.group.Ring(); ring != nil {
		for _, m := range ring.Members() {
			members = append(members, m.ID+" at "+m.Addr)
		}
	}
	return map[string]any{
		"id": r.cfg.ID, "addr": r.Addr(), "members": members, "zookeeper": r.zk.State().String(),
		"busBehind": r.bus.Behind(), "watermark": r.bus.Watermark(), "bus": r.bus.Status(), "feed": r.feed.Status(),
		"documents": r.heap.docs.Len(), "absent": r.heap.absent.Len(), "floorKeys": r.floor.Len(),
		"degraded": r.switches.Status(), "reconciliation": r.reconciler.last.Load(), "audit": r.auditor.Status(),
		"pulls": r.overload.pulls.State(), "unknownTokens": r.overload.unknown.Tokens(),
	}
}
