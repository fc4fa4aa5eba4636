package kafka

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type groupState struct {
	applied, retried, dead uint64
	retrying               int
}

// GroupStatus is a snapshot for readiness and status pages.
type GroupStatus struct {
	Joined       bool // holds an assignment now, be it an empty one
	Member       string
	Generation   int32
	Claims       []ClaimStatus // by partition
	Sessions     uint64        // assignments so far
	Applied      uint64        // records whose handler returned nil
	DeadLettered uint64        // records rejected
	Retried      uint64        // attempts that failed and were, or will be, repeated
	Retrying     int           // keys that wait for their next attempt now
	Restarts     uint64        // by the watchdog (25)
	LastError    string        // trouble with the brokers since the last assignment; "" while all is well
}

// ClaimStatus is one partition this process holds.
type ClaimStatus struct {
	Partition int32
	Next      int64     // offset of the next record to read; -1 while unknown
	Marked    int64     // everything below is applied and handed over for commit; -1 while nothing was
	High      int64     // offset after the last record the broker has told of
	InFlight  int       // read and not committed
	LastRead  time.Time // when a record was last read
}

// Status is a snapshot.
func (g *Group) Status() GroupStatus {
	g.mu.Lock()
	s := GroupStatus{
		Sessions: g.sessions, Applied: g.state.applied, DeadLettered: g.state.dead,
		Retried: g.state.retried, Retrying: g.state.retrying, Restarts: g.restarts,
	}
	if g.lastErr != nil {
		s.LastError = g.lastErr.Error()
	}
	if g.session != nil {
		s.Joined, s.Member, s.Generation = true, g.session.member, g.session.generation
	}
	claims := g.held()
	g.mu.Unlock()
	for _, c := range claims {
		c.mu.Lock()
		s.Claims = append(s.Claims, ClaimStatus{Partition: c.partition, Next: c.next, Marked: c.marked, High: c.high(), InFlight: len(c.window), LastRead: c.readAt})
		c.mu.Unlock()
	}
	slices.SortFunc(s.Claims, func(a, b ClaimStatus) int { return int(a.Partition) - int(b.Partition) })
	return s
}

func (g *Group) count1(n *uint64) {
	g.mu.Lock()
	*n++
	g.mu.Unlock()
}

func (g *Group) addRetrying(n int) {
	g.mu.Lock()
	g.state.retrying += n
	g.mu.Unlock()
	g.metrics.retrying.Add(float64(n))
}

// memberMetrics are those of any member of a consumer group.
type memberMetrics struct {
	faults, restarts, skipped prometheus.Counter
}

func newMemberMetrics(r prometheus.Registerer, group, topic string) memberMetrics {
	counter := func(name, text string) prometheus.Counter {
		return counters(r, "eshop_kafka_group_"+name, text, "group", "topic").WithLabelValues(group, topic)
	}
	return memberMetrics{
		faults:   counter("faults_total", "Errors met with the brokers."),
		restarts: counter("restarts_total", "Memberships ended by the watchdog."),
		skipped:  counter("skipped_offsets_total", "Offsets missing between two records read: removed by retention or compaction."),
	}
}

type groupMetrics struct {
	memberMetrics
	applied, dead, retried prometheus.Counter
	inFlight, retrying     prometheus.Gauge
	lag                    prometheus.Observer
}

func newGroupMetrics(r prometheus.Registerer, group, topic string) groupMetrics {
	counter := func(name, text string) prometheus.Counter {
		return counters(r, "eshop_kafka_group_"+name, text, "group", "topic").WithLabelValues(group, topic)
	}
	gauge := func(name, text string) prometheus.Gauge {
		return gauges(r, "eshop_kafka_group_"+name, text, "group", "topic").WithLabelValues(group, topic)
	}
	return groupMetrics{
		memberMetrics: newMemberMetrics(r, group, topic),
		applied:       counter("applied_total", "Records whose handler returned nil."),
		dead:          counter("dead_lettered_total", "Records rejected."),
		retried:       counter("retries_total", "Failed attempts that are repeated."),
		inFlight:      gauge("in_flight", "Records read and not yet applied."),
		retrying:      gauge("retrying", "Keys that wait for their next attempt."),
		lag: registerOr(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "eshop_kafka_group_apply_seconds", Help: "From the record's time to its being applied.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
		}, []string{"group", "topic"})).WithLabelValues(group, topic),
	}
}
