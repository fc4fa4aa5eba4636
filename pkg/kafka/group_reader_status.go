package kafka

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// GroupReaderStatus is a snapshot for readiness and status pages.
type GroupReaderStatus struct {
	Joined     bool // holds an assignment now, be it an empty one
	Member     string
	Generation int32
	Assigned   []AssignedStatus // by partition
	Partitions int              // of the topic; 0 before the first assignment
	Sessions   uint64           // assignments so far
	Records    uint64           // read
	Skipped    uint64           // offsets missing in what was read: removed by retention or compaction
	Truncated  uint64           // times a log ended before the place the holder knew
	Restarts   uint64           // by the watchdog (25)
	LastError  string           // trouble with the brokers since the last assignment; "" while all is well
}

// AssignedStatus is one partition this process holds.
type AssignedStatus struct {
	Partition int32
	Start     int64     // first offset read
	Target    int64     // end of the log when reading began
	Next      int64     // offset of the next record to read
	End       int64     // newest end of the log known; End - Next is the lag
	LastRead  time.Time // when a record was last read; zero before the first
}

// Status is a snapshot.
func (g *GroupReader) Status() GroupReaderStatus {
	s := GroupReaderStatus{
		Partitions: int(g.partitions.Load()), Records: g.records.Load(), Skipped: g.skipped.Load(), Truncated: g.truncated.Load(),
	}
	g.mu.Lock()
	s.Sessions, s.Restarts = g.sessions, g.restarts
	if g.lastErr != nil {
		s.LastError = g.lastErr.Error()
	}
	if g.session != nil {
		s.Joined, s.Member, s.Generation = true, g.session.member, g.session.generation
	}
	claims := g.held()
	g.mu.Unlock()
	for _, p := range claims {
		a := AssignedStatus{Partition: p.partition, Start: p.Start(), Target: p.Target(), Next: p.next.Load(), End: p.End()}
		if at := p.readAt.Load(); at > 0 {
			a.LastRead = time.Unix(0, at)
		}
		s.Assigned = append(s.Assigned, a)
	}
	slices.SortFunc(s.Assigned, func(a, b AssignedStatus) int { return int(a.Partition) - int(b.Partition) })
	return s
}

type groupReaderMetrics struct {
	memberMetrics
	group, topic string
	records      prometheus.Counter
	gaps         *prometheus.CounterVec
}

func newGroupReaderMetrics(r prometheus.Registerer, group, topic string) groupReaderMetrics {
	return groupReaderMetrics{
		memberMetrics: newMemberMetrics(r, group, topic),
		group:         group, topic: topic,
		records: counters(r, "eshop_kafka_group_read_total", "Records handed to the holder of their partition.", "group", "topic").WithLabelValues(group, topic),
		gaps:    counters(r, "eshop_kafka_group_gaps_total", "Gaps in the offsets read, by reason.", "group", "topic", "reason"),
	}
}

func (m groupReaderMetrics) gap(reason string) {
	m.gaps.WithLabelValues(m.group, m.topic, reason).Inc()
}
