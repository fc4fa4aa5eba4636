package console

import (
	"time"

	"eshop/pkg/monitoring"
)

// What is seen by looking at all processes. All but the first are
// no alerts of monitoring: Prometheus has its own for what it cannot scrape.
const (
	noHeartbeats = "EshopNoHeartbeats"
	noAnswer     = "NoAnswer"
	onlyThere    = "OnlyOnItsMachine"
)

// condition is when an alert of pkg/monitoring is shown. The rules of Prometheus
// are made to wake nobody in vain and wait; who looks at the console is awake.
type condition struct {
	alert string
	over  time.Duration // of samples that holds looks at
	after time.Duration // that it must have held for
	holds func(w window) bool
}

func conditions() []condition {
	const now = sampleEvery
	return []condition{
		{"EshopViolation", 10 * time.Minute, 0, func(w window) bool { return w.sum("violations") > 0 }},
		{"EshopPagesFail", time.Minute, 0, func(w window) bool { return w.sum("failed") > 0.01*w.sumOf(layers(), "requests.") }},
		{"EshopNotReady", now, 0, func(w window) bool { return w.is("ready", 0) }},
		{"EshopBusBehind", now, 0, func(w window) bool { return w.is("busBehind", 1) }},
		{"EshopShopAway", now, 0, func(w window) bool { return w.is("breaker.origin", 2) }},
		{"EshopRedisErrors", time.Minute, 0, func(w window) bool { return w.sum("redisErrors") > 60 }},
		{"EshopZooKeeperAway", now, 0, func(w window) bool { return w.is("zookeeper", 0) }},
		{"EshopChangesLate", time.Minute, 0, func(w window) bool { return w.quantile("change", 0.99) > 10 }},
		{"EshopChangesStuck", now, time.Minute, func(w window) bool { return w.last("retrying") > 0 }},
		{"EshopDeadLetters", kept, 0, func(w window) bool { return w.sum("deadLettered") > 0 }},
		{"EshopRedisLostWrites", kept, 0, func(w window) bool { return w.sum("repairs") > 0 }},
		{"EshopRefusing", time.Minute, 0, func(w window) bool { return w.sum("refused") > 60 }},
		{"EshopStalePages", time.Minute, 0, func(w window) bool { return w.sum("stale") > 0 }},
		{"EshopSlow", 5 * time.Minute, 0, func(w window) bool { return w.quantile("latency", 0.99) > 0.25 }},
		{"EshopHotListOld", now, 0, func(w window) bool { return w.last("hotListAge") > 60 || w.last("watermarkAge") > 30 }},
		{"EshopLogDrops", 5 * time.Minute, 0, func(w window) bool { return w.sum("dropped") > 0 }},
		{"EshopDegraded", now, time.Hour, func(w window) bool { return w.is("degraded", 1) }},
		{"EshopCertificateExpires", now, 0, func(w window) bool {
			expires := w.last("certificate") // Unix time; 0 without one
			return expires > 0 && expires-w.now() < (14*24*time.Hour).Seconds()
		}},
		{"EshopConfigReloadFailed", now, 0, func(w window) bool { return w.is("reloaded", 0) }},
		{"EshopTemplateRefused", kept, 0, func(w window) bool { return w.sum("templateErrors") > 0 }},
	}
}

// window is the samples a condition looks at, the oldest first.
type window struct {
	samples []Sample
	bounds  map[string][]float64
}

func (w window) last(key string) float64 {
	if len(w.samples) == 0 {
		return 0
	}
	return w.samples[len(w.samples)-1].Values[key]
}

// now is when the newest sample was taken, as Unix time.
func (w window) now() float64 {
	if len(w.samples) == 0 {
		return 0
	}
	return float64(w.samples[len(w.samples)-1].At) / 1000
}

// is reports whether the newest sample has a value for the key, and this one.
func (w window) is(key string, want float64) bool {
	if len(w.samples) == 0 {
		return false
	}
	got, has := w.samples[len(w.samples)-1].Values[key]
	return has && got == want
}

func (w window) sum(key string) (sum float64) {
	for _, s := range w.samples {
		sum += s.Values[key]
	}
	return sum
}

func (w window) sumOf(names []string, prefix string) (sum float64) {
	for _, name := range names {
		sum += w.sum(prefix + name)
	}
	return sum
}

func (w window) quantile(key string, q float64) float64 {
	var all []float64
	for _, s := range w.samples {
		all = addTo(all, s.Spreads[key])
	}
	return quantile(w.bounds[key], all, q)
}

func addTo(sum, more []float64) []float64 {
	if sum == nil {
		sum = make([]float64, len(more))
	}
	for i := range min(len(sum), len(more)) {
		sum[i] += more[i]
	}
	return sum
}

// Trouble is a condition that holds in a process.
type Trouble struct {
	Alert string `json:"alert"` // its name in pkg/monitoring
	Since int64  `json:"since"` // unix ms, of the first sample in which it held
}

// troubles are since when each condition holds, by alert.
type troubles map[string]int64

// judge looks at the samples, of which the newest is new.
func (t troubles) judge(samples []Sample, bounds map[string][]float64) {
	newest := samples[len(samples)-1].At
	for _, c := range conditions() {
		from := newest - c.over.Milliseconds()
		first := len(samples)
		for first > 0 && samples[first-1].At > from {
			first--
		}
		if !c.holds(window{samples[first:], bounds}) {
			delete(t, c.alert)
		} else if _, held := t[c.alert]; !held {
			t[c.alert] = newest
		}
	}
}

// list are those that have held for long enough, in the order of the alerts.
func (t troubles) list(now int64) []Trouble {
	list := []Trouble{}
	for _, c := range conditions() {
		if since, held := t[c.alert]; held && now-since >= c.after.Milliseconds() {
			list = append(list, Trouble{c.alert, since})
		}
	}
	return list
}

// Finding is a trouble of the fleet: what it means, what to do, and where it is.
type Finding struct {
	Alert    string              `json:"alert"`
	Severity monitoring.Severity `json:"severity"`
	Means    string              `json:"means"`
	Do       string              `json:"do"`
	Since    int64               `json:"since"` // unix ms, of the first member that has it
	Members  []string            `json:"members"`
}

// alerts are those of pkg/monitoring, and the console's own.
func alerts() []monitoring.Alert {
	return append([]monitoring.Alert{
		{Name: noAnswer, Severity: monitoring.Page,
			Means: "A process that ZooKeeper lists does not answer the others' consoles, so nothing is known of it.",
			Do:    "The reason stands with the member below. Is its machine up and reachable? Its log, and `/-/ready` on its own admin listener."},
		{Name: onlyThere, Severity: monitoring.Ticket,
			Means: "A hotcount process answers on its own machine only, so nothing is known of it here. It may be well.",
			Do:    "Look at the console of its machine; or give it a `--hotcount.admin-addr` that the other machines reach, and `--cluster.token-file`."},
	}, monitoring.Alerts()...)
}
