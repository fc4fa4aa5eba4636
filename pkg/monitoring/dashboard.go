package monitoring

import (
	"encoding/json"
	"fmt"
)

// panel is a graph: what it shows, and the queries of its lines.
type panel struct {
	title, about string
	unit         string // as Grafana names it
	stacked      bool
	lines        []line
}

// line is a query, and how its series are named.
type line struct{ expr, legend string }

// row is a heading and the graphs below it.
type row struct {
	title  string
	panels []panel
}

// chosen narrows a query to the instances that the viewer has picked.
const chosen = `{instance=~"$instance"}`

func rows() []row {
	return []row{
		{"Pages", []panel{
			{"Requests by level", "Where answers came from. l1: memory of the gateway; peer: of the one that owns the page.", "reqps", true, []line{
				{`sum by (layer) (rate(eshop_gateway_requests_total` + chosen + `[$__rate_interval]))`, "{{layer}}"}}},
			{"Hit ratio", "Answers from memory, of this gateway and of the owner.", "percentunit", false, []line{
				{`sum(rate(eshop_gateway_requests_total{layer=~"l1|peer",instance=~"$instance"}[$__rate_interval])) / sum(rate(eshop_gateway_requests_total` + chosen + `[$__rate_interval]))`, "all"},
				{`sum by (instance) (rate(eshop_gateway_requests_total{layer=~"l1|peer",instance=~"$instance"}[$__rate_interval])) / sum by (instance) (rate(eshop_gateway_requests_total` + chosen + `[$__rate_interval]))`, "{{instance}}"}}},
			{"Answers that are no page", "4xx and 5xx, by status.", "reqps", true, []line{
				{`sum by (code) (rate(eshop_gateway_requests_total{code=~"4..|5..",instance=~"$instance"}[$__rate_interval]))`, "{{code}}"}}},
			{"Time in the gateway", "Of all answers, hits among them.", "s", false, []line{
				{`histogram_quantile(0.5, sum by (le) (rate(eshop_gateway_request_seconds_bucket` + chosen + `[$__rate_interval])))`, "p50"},
				{`histogram_quantile(0.99, sum by (le) (rate(eshop_gateway_request_seconds_bucket` + chosen + `[$__rate_interval])))`, "p99"}}},
			{"Refused", "To keep the rest going, by reason.", "reqps", true, []line{
				{`sum by (reason) (rate(eshop_gateway_refused_total` + chosen + `[$__rate_interval]))`, "{{reason}}"}}},
			{"Memory of L1", "Bytes of gateways and cache processes.", "bytes", false, []line{
				{`sum by (instance, role) (eshop_l1_bytes` + chosen + `)`, "{{instance}} {{role}}"}}},
		}},
		{"Freshness", []panel{
			{"From a change to its effect", "From the message to Redis and the bus; from the bus to the gateway.", "s", false, []line{
				{`histogram_quantile(0.99, sum by (le) (rate(eshop_change_lag_seconds_bucket` + chosen + `[$__rate_interval])))`, "change p99"},
				{`histogram_quantile(0.99, sum by (le) (rate(eshop_invalidation_lag_seconds_bucket` + chosen + `[$__rate_interval])))`, "invalidation p99"}}},
			{"Changes", "Attempts, by outcome.", "ops", true, []line{
				{`sum by (outcome) (rate(eshop_changes_total` + chosen + `[$__rate_interval]))`, "{{outcome}}"}}},
			{"Age of the watermark", "Since when a process has had no word from the bus that vouches for its copies.", "s", false, []line{
				{`eshop_invalidation_watermark_age_seconds` + chosen, "{{instance}}"}}},
			{"Staleness", "How long copies that were served unmarked had been stale when the auditor ended them.", "s", false, []line{
				{`histogram_quantile(0.99, sum by (le, against) (rate(eshop_staleness_seconds_bucket` + chosen + `[$__rate_interval])))`, "p99 against {{against}}"}}},
			{"Violations and repairs", "Violations must stay 0. Repairs: Redis had lost a write.", "short", false, []line{
				{`sum(increase(eshop_consistency_violations_total` + chosen + `[$__rate_interval]))`, "violations"},
				{`sum by (cause) (increase(eshop_redis_repairs_total` + chosen + `[$__rate_interval]))`, "repaired, found by {{cause}}"}}},
			{"Marked pages", "Served although they could not be checked or replaced; served without a part.", "reqps", false, []line{
				{`sum(rate(eshop_gateway_stale_served_total` + chosen + `[$__rate_interval]))`, "stale"},
				{`sum(rate(eshop_gateway_partial_served_total` + chosen + `[$__rate_interval]))`, "partial"}}},
		}},
		{"Heat", []panel{
			{"Hot products", "By the rule, and as the gateways know them.", "short", false, []line{
				{`sum(eshop_hot_keys` + chosen + `)`, "by the rule"},
				{`eshop_gateway_hot_keys` + chosen, "{{instance}}"}}},
			{"Time to find one", "From the newest hit counted to the published list.", "s", false, []line{
				{`histogram_quantile(0.99, sum by (le) (rate(eshop_hot_detection_seconds_bucket` + chosen + `[$__rate_interval])))`, "p99"}}},
			{"Hits counted", "By the form of their record.", "ops", true, []line{
				{`sum by (shape) (rate(eshop_hotcount_events_total` + chosen + `[$__rate_interval]))`, "{{shape}}"}}},
			{"Access log lost", "Hits that are in no record, by reason.", "ops", true, []line{
				{`sum by (reason) (rate(eshop_accesslog_dropped_total` + chosen + `[$__rate_interval]))`, "{{reason}}"}}},
		}},
		{"What is behind", []panel{
			{"Pulls from the shop", "By outcome.", "ops", true, []line{
				{`sum by (outcome) (rate(eshop_origin_pulls_total` + chosen + `[$__rate_interval]))`, "{{outcome}}"}}},
			{"Breakers", "0 closed, 1 half-open, 2 open.", "short", false, []line{
				{`max by (dependency) (eshop_breaker_state` + chosen + `)`, "{{dependency}}"}}},
			{"Redis", "Time of a call, by what it does.", "s", false, []line{
				{`histogram_quantile(0.99, sum by (le, op) (rate(eshop_redis_seconds_bucket` + chosen + `[$__rate_interval])))`, "{{op}} p99"}}},
			{"Queues", "Callers that wait for a place, by what for.", "short", false, []line{
				{`sum by (gate) (eshop_admission_waiting` + chosen + `)`, "{{gate}}"}}},
			{"Ready", "1 while a process takes traffic.", "short", false, []line{
				{`eshop_ready` + chosen, "{{instance}}"}}},
			{"Lock", "Wait for a key's lock.", "s", false, []line{
				{`histogram_quantile(0.99, sum by (le) (rate(eshop_lock_wait_seconds_bucket` + chosen + `[$__rate_interval])))`, "p99"}}},
		}},
		{"Settings and certificates", []panel{
			{"Last reload", "1 if the last reload of the settings was good, 0 if it changed nothing because something is wrong.", "short", false, []line{
				{`eshop_config_last_reload_successful` + chosen, "{{instance}}"}}},
			{"Settings that wait for a restart", "They have changed since the start, and cannot be taken over by a reload.", "short", false, []line{
				{`eshop_config_restart_needed` + chosen, "{{instance}}"}}},
			{"Days to the end of a certificate", "Of each certificate in use; below 14 there is an alert.", "d", false, []line{
				{`((eshop_tls_cert_expiry_seconds` + chosen + ` > 0) - time()) / 86400`, "{{instance}} {{role}} {{pair}}"}}},
		}},
	}
}

// Queries returns every query of the dashboard, for whoever wants to check them.
func Queries() (all []string) {
	for _, r := range rows() {
		for _, p := range r.panels {
			for _, l := range p.lines {
				all = append(all, l.expr)
			}
		}
	}
	return all
}

// Dashboard is the dashboard as Grafana imports it: JSON, of schema version 39
// (Grafana 10.4 and later).
func Dashboard() (string, error) {
	type object = map[string]any
	source := object{"type": "prometheus", "uid": "${source}"}
	var panels []object
	id, y := 0, 0
	for _, r := range rows() {
		id++
		panels = append(panels, object{"id": id, "type": "row", "title": r.title, "gridPos": object{"x": 0, "y": y, "w": 24, "h": 1}})
		y++
		for i, p := range r.panels {
			const width, height = 8, 8
			id++
			var targets []object
			for j, l := range p.lines {
				targets = append(targets, object{"refId": string(rune('A' + j)), "datasource": source, "expr": l.expr, "legendFormat": l.legend})
			}
			stacking := object{"mode": "none"}
			if p.stacked {
				stacking = object{"mode": "normal"}
			}
			panels = append(panels, object{
				"id": id, "type": "timeseries", "title": p.title, "description": p.about, "datasource": source, "targets": targets,
				"gridPos":     object{"x": i % 3 * width, "y": y + i/3*height, "w": width, "h": height},
				"fieldConfig": object{"defaults": object{"unit": p.unit, "min": 0, "custom": object{"stacking": stacking, "fillOpacity": 10, "showPoints": "never"}}, "overrides": []any{}},
				"options":     object{"legend": object{"displayMode": "list", "placement": "bottom"}, "tooltip": object{"mode": "multi"}},
			})
		}
		y += (len(r.panels) + 2) / 3 * 8
	}
	text, err := json.MarshalIndent(object{
		"title": "eshop", "uid": "eshop", "tags": []string{"eshop"}, "schemaVersion": 39, "editable": true, "refresh": "10s",
		"time": object{"from": "now-1h", "to": "now"}, "panels": panels,
		"templating": object{"list": []object{
			{"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"},
			{"name": "instance", "type": "query", "label": "Process", "datasource": source, "query": "label_values(eshop_build_info, instance)", "refresh": 2, "multi": true, "includeAll": true, "allValue": ".*", "current": object{"text": "All", "value": "$__all"}},
		}},
	}, "", "  ")
	if err != nil {
		return "", fmt.Errorf("write the dashboard: %w", err)
	}
	return string(text) + "\n", nil
}
