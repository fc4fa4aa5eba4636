package invalidation

import (
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/catalog"
)

// Cause says what found that Redis had lost a write.
type Cause string

const (
	// ByRead: a request met it, held against the floor or the copy shown here.
	ByRead Cause = "floor"
	// ByFailover: recently changed documents were verified because slots have
	// got another master, or a master was restarted.
	ByFailover Cause = "failover"
	// BySweep: they were verified without such an occasion.
	BySweep Cause = "sweep"
	// ByAudit: the auditor compared a copy of this process with Redis.
	ByAudit Cause = "audit"
	// ByPrewarm: a prewarm looked at what Redis holds.
	ByPrewarm Cause = "prewarm"
)

// Causes returns all of them, for the labels of the metric.
func Causes() []Cause { return []Cause{ByRead, ByFailover, BySweep, ByAudit, ByPrewarm} }

// Repair is one document that Redis held below a stamp it had held before, and
// that was pulled again.
type Repair struct {
	Key   catalog.Key
	Cause Cause
	// Found is what Redis held, zero for nothing; Expected what it had held before.
	Found, Expected catalog.Stamp
}

// Repairs counts and logs what a role found lost in Redis and had pulled again,
// as eshop_redis_repairs_total{cause}. A loss that several processes find is
// counted by each of them. It is safe for concurrent use.
type Repairs struct {
	log   *slog.Logger
	total *prometheus.CounterVec

	mu       sync.Mutex
	second   int64 // unix: when said was begun
	said     int   // lines in that second
	leftOut  int   // repairs without a line since the last one
	byCauses map[Cause]uint64
}

// repairLines is how many repairs a second are logged: a failover may have lost
// thousands of writes. The next line tells how many were left out.
const repairLines = 10

// NewRepairs returns the counter and log of a role.
func NewRepairs(log *slog.Logger) *Repairs {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	r := &Repairs{log: log, byCauses: map[Cause]uint64{}, total: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "eshop_redis_repairs_total",
		Help: "Documents found in Redis below a stamp that it had held before, and pulled again, by what found them."}, []string{"cause"})}
	for _, c := range Causes() {
		r.total.WithLabelValues(string(c))
	}
	return r
}

// Collector is the metric.
func (r *Repairs) Collector() prometheus.Collector { return r.total }

// Done counts a repair and logs it.
func (r *Repairs) Done(p Repair) {
	r.total.WithLabelValues(string(p.Cause)).Inc()
	if leftOut, ok := r.line(p.Cause, time.Now().Unix()); ok {
		r.log.Warn("a document that Redis had lost was pulled again", "kind", p.Key.Kind, "id", p.Key.ID, "cause", string(p.Cause),
			"found", p.Found, "expected", p.Expected, "unlogged", leftOut)
	}
}

// line reports whether a repair may be logged now, and how many were not since
// the last line.
func (r *Repairs) line(cause Cause, now int64) (leftOut int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byCauses[cause]++
	if now != r.second {
		r.second, r.said = now, 0
	}
	if r.said == repairLines {
		r.leftOut++
		return 0, false
	}
	r.said++
	leftOut, r.leftOut = r.leftOut, 0
	return leftOut, true
}

// Count returns how many repairs there were for a cause.
func (r *Repairs) Count(c Cause) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byCauses[c]
}
