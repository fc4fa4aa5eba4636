package console

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"eshop/pkg/admin"
	"eshop/pkg/lifecycle"

	"github.com/prometheus/client_golang/prometheus"
)

// What a process remembers of itself.
const (
	sampleEvery = 5 * time.Second
	kept        = 15 * time.Minute
	samples     = int(kept / sampleEvery)
)

// Member is one role of a process, as ZooKeeper lists it.
type Member struct {
	Role string `json:"role"`
	ID   string `json:"id"`
}

// String is how the page names it.
func (m Member) String() string { return m.Role + " " + m.ID }

// Report is what a process says of itself to the consoles of the fleet.
type Report struct {
	Instance  string               `json:"instance"` // made at its start: tells two processes apart
	Members   []Member             `json:"members"`
	Build     admin.Build          `json:"build"`
	Started   int64                `json:"started"` // unix ms, as all times
	Now       int64                `json:"now"`
	Ready     bool                 `json:"ready"`
	Reasons   []string             `json:"reasons"`
	Kinds     []string             `json:"kinds"`
	CanChange bool                 `json:"canChange"`
	Troubles  []Trouble            `json:"troubles"`
	Bounds    map[string][]float64 `json:"bounds"` // of the histograms
	Samples   []Sample             `json:"samples"`
}

// recorder keeps the last quarter of an hour.
type recorder struct {
	from  prometheus.Gatherer
	ready *lifecycle.Ready

	mu       sync.Mutex
	before   reading
	begun    bool
	kept     []Sample
	troubles troubles
}

func newRecorder(from prometheus.Gatherer, ready *lifecycle.Ready) *recorder {
	return &recorder{from: from, ready: ready, troubles: troubles{}}
}

// run takes a sample at each multiple of five seconds, so that those of all
// processes fall together.
func (r *recorder) run(ctx context.Context) error {
	r.sample(time.Now())
	next := time.NewTimer(untilNext(time.Now()))
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
			now := time.Now()
			r.sample(now)
			next.Reset(untilNext(now))
		}
	}
}

func untilNext(now time.Time) time.Duration {
	return now.Truncate(sampleEvery).Add(sampleEvery).Sub(now)
}

func (r *recorder) sample(now time.Time) {
	read := read(r.from, now)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.begun {
		s := read.since(r.before)
		s.Values["ready"] = 0
		if r.ready.OK() {
			s.Values["ready"] = 1
		}
		if over := len(r.kept) - samples + 1; over > 0 {
			r.kept = slices.Delete(r.kept, 0, over)
		}
		r.kept = append(r.kept, s)
		r.troubles.judge(r.kept, read.bounds)
	}
	r.before, r.begun = read, true
}

// fill adds what was recorded after a time.
func (r *recorder) fill(report *Report, since int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	report.Troubles, report.Bounds = r.troubles.list(report.Now), r.before.bounds
	first := len(r.kept)
	for first > 0 && r.kept[first-1].At > since {
		first--
	}
	report.Samples = slices.Clone(r.kept[first:]) // a sample does not change once it is there
}

// report is this process's own.
func (c *Console) report(since int64) Report {
	r := Report{Instance: c.instance, Members: c.cfg.Members, Build: c.build, Started: c.started.UnixMilli(), Now: time.Now().UnixMilli(),
		Ready: c.ready.OK(), Reasons: c.ready.Reasons(), Kinds: c.kinds, CanChange: c.admin.CanChange()}
	c.recorder.fill(&r, since)
	return r
}

func (c *Console) serveReport(w http.ResponseWriter, req *http.Request) {
	since, err := strconv.ParseInt(req.URL.Query().Get("since"), 10, 64)
	if err != nil {
		since = 0 // all there is
	}
	admin.Answer(w, http.StatusOK, c.report(since))
}
