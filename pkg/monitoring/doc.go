// Package monitoring has what an operator's Prometheus and Grafana need to watch a
// fleet: alert rules, and a dashboard. Both are made from one table each, so what is
// printed, what is checked and what the README says to do are the same text.
//
//	eshop monitoring alerts    >/etc/prometheus/rules/eshop.yaml
//	eshop monitoring dashboard >eshop.json      # Grafana: Dashboards, New, Import
//
// # Files
//
//	alerts.go     Alerts, and their rule file
//	dashboard.go  the dashboard
package monitoring
