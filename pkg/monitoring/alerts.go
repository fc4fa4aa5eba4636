package monitoring

import (
	"fmt"
	"strings"
)

// Severity says how soon somebody has to look.
type Severity string

const (
	Page   Severity = "page"   // now, at night too
	Ticket Severity = "ticket" // in working hours
)

// Alert is one alert rule.
type Alert struct {
	Name     string
	Expr     string // PromQL; fires for each series that it returns
	For      string // how long it must hold before the alert fires
	Severity Severity
	Means    string // one sentence: what is so, and what customers see
	Do       string // what to look at and what to do, in this order
}

// Alerts returns the alert rules, the most urgent first. A quiet fleet fires none.
func Alerts() []Alert {
	return []Alert{
		{
			"EshopViolation", `increase(eshop_consistency_violations_total[10m]) > 0`, "0m", Page,
			"The auditor found a copy that breaks a promise of freshness, and ended it.",
			"`/api/explain` of the key in the log line shows every copy of it. Save that and the log: this is a fault of eshop, never of the load.",
		},
		{
			"EshopPagesFail", `sum(rate(eshop_gateway_requests_total{code=~"5.."}[5m])) > 0.01 * sum(rate(eshop_gateway_requests_total[5m]))`, "3m", Page,
			"More than one answer in a hundred is a 5xx.",
			"The reason is in the answers' Cache-Status and in EshopRefusing, EshopShopAway, EshopRedisErrors. What is in memory is served all the same; a switch (`stale-only`, `no-origin`) takes load off what is down.",
		},
		{
			"EshopNotReady", `eshop_ready == 0`, "2m", Page,
			"A process takes no traffic, or should take none.",
			"`/-/ready` on its admin listener says what it waits for.",
		},
		{
			"EshopBusBehind", `eshop_gateway_bus_behind == 1`, "1m", Page,
			"A gateway has heard nothing of changes for longer than --gateway.max-staleness: it checks copies with Redis before use, and marks what it cannot check.",
			"On one gateway: its way to Kafka. On all: the brokers, or no leader of the bus (EshopNoHeartbeats).",
		},
		{
			"EshopNoHeartbeats", `sum(eshop_bus_leader) < 1`, "2m", Page,
			"No cache process sends the bus's heartbeats, so in a while no gateway trusts its copies.",
			"Are cache processes up? The leader is chosen through ZooKeeper: EshopZooKeeperAway.",
		},
		{
			"EshopShopAway", `eshop_breaker_state{dependency="origin"} == 2`, "1m", Page,
			"The shop's services fail and are left alone for a while. Pages are served from memory and Redis; products that neither has get 503.",
			"The shop's services. If they are to be spared for longer: switch on `no-origin`.",
		},
		{
			"EshopRedisErrors", `sum by (instance) (rate(eshop_gateway_redis_errors_total[5m])) > 1`, "3m", Page,
			"Reads of Redis fail; the cache role's memory and the shop are asked instead.",
			"`redis-cli --cluster check`, then the nodes. A fail-over is over in some seconds by itself.",
		},
		{
			"EshopZooKeeperAway", `eshop_zookeeper_session_state{state="connected"} == 0`, "2m", Page,
			"A process has no ZooKeeper session. Pages are not affected; in the cache role changes wait.",
			"Is there a majority of the ensemble? Changes are made up for when it is back.",
		},
		{
			"EshopChangesLate", `histogram_quantile(0.99, sum by (le) (rate(eshop_change_lag_seconds_bucket[5m]))) > 10`, "5m", Page,
			"More than one change in a hundred took longer than ten seconds from its message to its effect.",
			"`/api/status` of the cache processes: what their changes wait for. EshopShopAway, EshopZooKeeperAway, EshopRedisErrors.",
		},
		{
			"EshopChangesStuck", `eshop_kafka_group_retrying > 0`, "15m", Ticket,
			"Some changes have been failing for a quarter of an hour. Others go on beside them.",
			"The log of that cache process names the key and the error.",
		},
		{
			"EshopDeadLetters", `increase(eshop_kafka_group_dead_lettered_total[15m]) > 0`, "0m", Ticket,
			"Change messages could not be understood, or the shop never showed what they announced. They are kept in the dead-letter topic.",
			"The console has them with the reason. Mend what it names, then replay them; discard what is not to be applied. By hand: `/api/dead-letters`.",
		},
		{
			"EshopRedisLostWrites", `sum by (instance) (increase(eshop_redis_repairs_total[15m])) > 0`, "0m", Ticket,
			"Redis held less than it once had, and was repaired: a fail-over lost writes, or keys were evicted or deleted by hand.",
			"Nothing is stale. If it keeps on: Redis has too little memory, or fails over again and again.",
		},
		{
			"EshopRefusing", `sum by (instance, reason) (rate(eshop_gateway_refused_total{reason!="unknown"}[5m])) > 1`, "5m", Page,
			"A gateway refuses pages that it does not have in memory, to keep the rest going.",
			"`memory`: more memory, or more gateways. `waiting` and `gate`: what is behind it is slow. `redis`: see EshopRedisErrors.",
		},
		{
			"EshopStalePages", `sum by (instance) (rate(eshop_gateway_stale_served_total[5m])) > 0`, "10m", Ticket,
			"Pages are served that could not be checked or replaced. They are marked in Cache-Status.",
			"EshopBusBehind, EshopRedisErrors, EshopShopAway, or a switch that is on (EshopDegraded).",
		},
		{
			"EshopSlow", `histogram_quantile(0.99, sum by (le, instance) (rate(eshop_gateway_request_seconds_bucket[5m]))) > 0.25`, "10m", Ticket,
			"One request in a hundred spends more than a quarter of a second in the gateway.",
			"Which level they come from: the console's hit ratio. Many misses after a start are usual for some minutes.",
		},
		{
			"EshopHotListOld", `eshop_gateway_hot_list_age_seconds > 60 or eshop_hotcount_watermark_age_seconds > 30`, "5m", Ticket,
			"Hot products are found late or not at all. Nothing else is affected until one product gets more than its owner can serve.",
			"Does hotcount run, does it hold all partitions, has it fallen behind (`eshop_hotcount_lag_records`)? By hand: pin the product.",
		},
		{
			"EshopLogDrops", `sum by (instance, reason) (rate(eshop_accesslog_dropped_total[5m])) > 0`, "10m", Ticket,
			"Requests are missing from the access log. Pages are not affected, heat may be found late.",
			"`full` and `partition_full`: Kafka takes less than there is; `counts` needs a thousandth of `full`. `old`: Kafka was away.",
		},
		{
			"EshopDegraded", `max by (kind, mode) (eshop_degraded) == 1`, "1h", Ticket,
			"A degrade switch has been on for an hour.",
			"`GET /api/degrade` says who set it and until when.",
		},
		{
			"EshopCertificateExpires", `eshop_tls_cert_expiry_seconds > 0 and eshop_tls_cert_expiry_seconds - time() < 14 * 86400`, "10m", Ticket,
			"A certificate in use expires within 14 days. Then browsers (pair `gateway`) or the other roles (pair `cluster`) refuse it.",
			"Renew it; a new pair in the files is used at once. If it was renewed: the log says why the new one is not used (`the changed certificate is not used`), and under systemd the copies are made at the start: restart the service.",
		},
		{
			"EshopConfigReloadFailed", `eshop_config_last_reload_successful == 0`, "5m", Ticket,
			"The last reload of a process's settings changed nothing: something in them is wrong. It goes on with those from before; a restart would fail.",
			"`GET /api/reload` and the log (`the settings were not reloaded`) name each problem. Mend it and reload again.",
		},
		{
			"EshopTemplateRefused", `increase(eshop_gateway_template_errors_total[1h]) > 0`, "0m", Ticket,
			"A changed page template has an error; the one before stays in use.",
			"The gateway's log has the line.",
		},
	}
}

// RuleFile is the alerts as a rule file of Prometheus, which checks with promtool.
func RuleFile() string {
	var b strings.Builder
	b.WriteString("# Alert rules for eshop, by \"eshop monitoring alerts\".\ngroups:\n  - name: eshop\n    rules:\n")
	for _, a := range Alerts() {
		fmt.Fprintf(&b, "      - alert: %s\n        expr: %s\n        for: %s\n        labels:\n          severity: %s\n        annotations:\n          summary: %s\n          description: %s\n",
			a.Name, quoted(a.Expr), a.For, a.Severity, quoted(a.Means), quoted(a.Do))
	}
	return b.String()
}

// quoted is a text as a scalar of YAML.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// AlertTable is the alerts as a table in Markdown.
func AlertTable() string {
	var b strings.Builder
	b.WriteString("| alert | | what it means | what to do |\n| --- | --- | --- | --- |\n")
	for _, a := range Alerts() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", a.Name, a.Severity, a.Means, a.Do)
	}
	return b.String()
}
