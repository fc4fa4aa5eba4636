package cache

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/audit"
	"eshop/pkg/catalog"
	"eshop/pkg/docapi"
)

// newAuditor makes what compares copies of the heap tier with Redis and with the
// origin.
func (r *Role) newAuditor(reg prometheus.Registerer) (*audit.Auditor, error) {
	return audit.New(audit.Config{Rate: r.cfg.Audit, OriginShare: r.cfg.AuditOrigin}, audit.Deps{
		Log: r.log, Registry: reg, Heap: audited{r}, Layers: []string{"document"}, Redis: r.store, Floor: r.floor, Changed: r.Changed,
		Revalidate: r.revalidate, Repair: r.reconciler.lost})
}

// audited is the heap tier as the auditor sees it.
type audited struct{ r *Role }

func (a audited) Sample(n int) (copies []audit.Copy) {
	a.r.heap.docs.Sample(n, func(key catalog.Key, e *entry) {
		served := func() bool { return a.r.usable(e, a.r.floor.Of(key), time.Now()) }
		if !e.doc.Provisional && served() {
			copies = append(copies, audit.Copy{Key: key, Stamp: e.doc.Stamp, Sum: audit.Sum(e.doc), Layer: "document", Verified: e.verified, Served: served})
		}
	})
	return copies
}

// Forget ends the copy of a document.
func (a audited) Forget(key catalog.Key) { a.r.purge(key) }

// revalidate asks the origin and writes what it shows. It is no load of a reader,
// which would go on without its caller.
func (r *Role) revalidate(ctx context.Context, key catalog.Key, min catalog.Stamp) (docapi.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.FillTimeout)
	defer cancel()
	return r.pull(ctx, key, min.Max(r.floor.Of(key)), pullForRefresh)
}

// lost repairs what the auditor found Redis to have less of than before.
func (c *reconciler) lost(ctx context.Context, key catalog.Key, _, expected catalog.Stamp) error {
	return c.repairOne(ctx, key, expected.Max(c.r.floor.Of(key)), repairByAudit)
}
