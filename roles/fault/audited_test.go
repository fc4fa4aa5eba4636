package fault_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// counted adds up a metric of a process over all its labels.
func (w *world) counted(ctx context.Context, m *member, name string) (sum float64, err error) {
	status, body, _, err := w.get(ctx, "http://"+m.admin+"/metrics")
	if err != nil || status != http.StatusOK {
		return 0, fmt.Errorf("read the metrics of %s: status %d, %w", m.name, status, err)
	}
	for line := range strings.Lines(body) {
		at := strings.LastIndexByte(strings.TrimSpace(line), ' ')
		if (strings.HasPrefix(line, name+"{") || strings.HasPrefix(line, name+" ")) && at > 0 {
			n, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64)
			if err != nil {
				return 0, fmt.Errorf("read the metric %s of %s: %w", name, m.name, err)
			}
			sum += n
		}
	}
	return sum, nil
}

// inFleet adds up a metric over the gateways and cache processes that answer.
func (w *world) inFleet(ctx context.Context, name string) (sum float64) {
	for _, m := range append(append([]*member(nil), w.gateways...), w.caches...) {
		if n, err := w.counted(ctx, m, name); err == nil {
			sum += n
		}
	}
	return sum
}

// audited is rule (h): no auditor of the fleet has found a violation, whatever went wrong.
func (tr *traffic) audited() {
	tr.t.Helper()
	w, ctx := tr.w, context.Background()
	for _, m := range append(append([]*member(nil), w.gateways...), w.caches...) {
		n, err := w.counted(ctx, m, "eshop_consistency_violations_total")
		if err != nil {
			tr.t.Error(err)
		} else if before := w.alarms[m.name]; n > before {
			tr.t.Errorf("the auditor of %s has found %v violations", m.name, n-before)
			w.alarms[m.name] = n // reported here
		}
	}
	tr.t.Logf("the auditors compared %v copies and found %v stale; %v documents were repaired in Redis",
		w.inFleet(ctx, "eshop_audited_total"), w.inFleet(ctx, "eshop_staleness_seconds_count"), w.inFleet(ctx, "eshop_redis_repairs_total"))
}
