package roles

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"eshop/pkg/lab"
	"eshop/pkg/monitoring"
)

// TestMonitoringAsksForWhatThereIs: every metric in the alerts and in the dashboard, and every label by which
// they choose or sum up, is one that the roles show.
func TestMonitoringAsksForWhatThereIs(t *testing.T) {
	ca := lab.NewAuthority(t) // the metric of a certificate is there with one
	r := start(t, anyPort("--cluster.tls-cert="+ca.CertFile, "--cluster.tls-key="+ca.KeyFile, "--cluster.tls-ca="+ca.CAFile)...)
	defer r.stop()
	queries := monitoring.Queries()
	for _, a := range monitoring.Alerts() {
		queries = append(queries, a.Expr)
	}
	shop := strings.TrimSuffix(r.addresses["sample shop"], "/")
	admin := strings.TrimSuffix(r.addresses["admin and console"], "/")
	for round := 0; round < 2; round++ { // a page, and a change of what is on it
		r.do("GET", r.addresses["product pages"], "")
		if code, body := r.do("PUT", shop+"/products/1", fmt.Sprintf(`{"id":1,"name":"Kettle %d","price":12.5,"shopId":1}`, round)); code >= 300 {
			t.Fatalf("edit product 1: got %d %s", code, body)
		}
	}
	lab.Until(t, 10*time.Second, func(context.Context) error {
		_, metrics := r.do("GET", admin+"/metrics", "")
		var missing []string
		for _, q := range queries {
			missing = append(missing, unknownTo(metrics, q)...)
		}
		slices.Sort(missing)
		if missing = slices.Compact(missing); len(missing) > 0 {
			return fmt.Errorf("nothing shows %q", missing)
		}
		return nil
	})
}

var (
	metricName = regexp.MustCompile(`eshop_[a-z0-9_]+`)
	labelName  = regexp.MustCompile(`([a-z_]+)=[~"]`)
	summedBy   = regexp.MustCompile(`by \(([a-z_, ]+)\)`)
)

// unknownTo lists the metrics of a query, and the labels with them, that a scrape does not show. A label has to be
// with one metric of the query.
func unknownTo(metrics, query string) (missing []string) {
	labels := map[string]bool{"instance": true} // Prometheus' own
	names := metricName.FindAllString(query, -1)
	for _, name := range names {
		samples := regexp.MustCompile(`(?m)^`+name+`(\{.*\})? `).FindAllStringSubmatch(metrics, -1)
		if len(samples) == 0 {
			missing = append(missing, name)
		}
		for _, s := range samples {
			for _, l := range labelName.FindAllStringSubmatch(s[1], -1) {
				labels[l[1]] = true
			}
		}
	}
	var wanted []string
	for _, l := range labelName.FindAllStringSubmatch(query, -1) {
		wanted = append(wanted, l[1])
	}
	for _, by := range summedBy.FindAllStringSubmatch(query, -1) {
		wanted = append(wanted, strings.Split(by[1], ", ")...)
	}
	for _, l := range wanted {
		if !labels[l] && !strings.Contains(l, "instance") {
			missing = append(missing, l+" of "+strings.Join(names, ", "))
		}
	}
	return missing
}
