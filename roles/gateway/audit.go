package gateway

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/audit"
	"eshop/pkg/catalog"
	"eshop/pkg/docapi"
)

// newAuditor makes what compares copies of L1 with Redis and, by way of the cache
// role, with the origin.
func (r *Role) newAuditor(reg prometheus.Registerer) (*audit.Auditor, error) {
	return audit.New(audit.Config{Rate: r.cfg.Audit, OriginShare: r.cfg.AuditOrigin}, audit.Deps{
		Log: r.log, Registry: reg, Spared: func(kind string) bool { return r.degraded.forbids(kind) != nil }, Heap: audited{r}, Layers: []string{"page", "document"}, Redis: r.redis, Floor: r.floor, Changed: bus{r}.Changed,
		Revalidate: r.revalidate, Repair: r.repair})
}

// audited is L1 as the auditor sees it.
type audited struct{ r *Role }

// Sample draws among pages and documents alike. Of a page it takes any one of the
// documents it was built from. Negative entries are left out: they live for
// seconds; so are kinds that a switch keeps Redis from being asked for.
func (a audited) Sample(n int) []audit.Copy {
	c := a.r.l1
	pages, docs := c.pages.Len(), c.docs.Len()
	if pages+docs == 0 {
		return nil
	}
	ofPages := 0
	for range n {
		if rand.IntN(pages+docs) < pages {
			ofPages++
		}
	}
	var copies []audit.Copy
	add := func(f *flag, layer string, served func() bool) {
		if !f.absent && !f.provisional && served() && a.r.degraded.forbids(f.key.Kind) == nil {
			copies = append(copies, audit.Copy{Key: f.key, Stamp: f.stamp, Sum: f.sum, Layer: layer, Verified: time.Unix(0, f.verified.Load()), Served: served})
		}
	}
	c.pages.Sample(ofPages, func(_ pageKey, p *page) {
		add(p.deps[rand.IntN(len(p.deps))], "page", func() bool { return a.r.look(p, time.Now().UnixNano()) == fresh })
	})
	c.docs.Sample(n-ofPages, func(_ catalog.Key, e *entry) {
		add(e.flag, "document", func() bool { return a.r.usable(e, time.Now()) })
	})
	return copies
}

// Forget ends every copy of a document.
func (a audited) Forget(key catalog.Key) { a.r.l1.purge(key) }

// revalidate has the cache role ask the origin.
func (r *Role) revalidate(ctx context.Context, key catalog.Key, min catalog.Stamp) (docapi.Reply, error) {
	if err := r.degraded.forbids(key.Kind); err != nil {
		return docapi.Reply{}, err
	}
	return r.source.Get(ctx, docapi.Request{Key: key, Min: min, Revalidate: true})
}

// repair has the cache role pull what Redis has lost, and count it.
func (r *Role) repair(ctx context.Context, key catalog.Key, _, expected catalog.Stamp) error {
	reply, err := r.revalidate(ctx, key, expected)
	switch {
	case err != nil:
		return err
	case reply.Stale || reply.Document.Provisional || reply.Document.Stamp.Less(expected):
		return fmt.Errorf("repair %v in Redis: the cache role has %v only, which is stored nowhere or below %v", key, reply.Document.Stamp, expected)
	}
	return nil
}
