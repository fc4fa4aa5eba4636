package fault_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// scenario is what goes wrong, and what may come of it.
type scenario struct {
	name   string // the invariant (I) or pitfall (P) it is about, and the fault
	faults []fault
	hold   time.Duration  // how long they last; 0: outage()
	during func(*traffic) // instead of a mere wait
	bound  time.Duration  // of answers against the fleet's; 0: lag
	waits  bool           // changes wait meanwhile: answers may differ for as long as that
	origin time.Duration  // bound of answers against the origin; 0: none
	loses  bool           // Redis may lose writes, so that a stamp goes back
	prompt bool           // soon (lag) after healing nothing stale is left
	fails  classes        // classes of which requests may fail
	ci     bool           // runs in the short form too
}

// lag is the bound on ordinary days: how long after one gateway has shown a change another may show the state before.
// Measured it is a fraction of a second; the machine under test runs a dozen servers and the tests of other packages.
const lag = 3 * time.Second

// mostRepair bounds the time to normal after healing, for the same reason far above what is measured.
const mostRepair = 2 * time.Minute

// outage is how long servers stay away.
func outage() time.Duration {
	if long() {
		return time.Minute
	}
	return 5 * time.Second
}

// row is a line of the table at the end.
type row struct {
	name    string
	verdict verdict
	normal  time.Duration
	growth  int64
	grown   string
	took    time.Duration
}

// run plays the scenario: traffic, then the faults, then a while, then healing, then calm.
func (s scenario) run(t *testing.T, w *world, number int) row {
	began := time.Now()
	tr := begin(t, w, number)
	rss := watchMemory(w)
	watching, stopWatching := context.WithCancel(context.Background())
	back := make(chan []string, 1)
	go func() { back <- tr.watchRedis(watching) }()
	<-time.After(500 * time.Millisecond)
	broken := time.Now()
	var heals []func()
	for _, f := range s.faults {
		heals = append(heals, f.on(tr))
	}
	hold := s.hold
	if hold == 0 {
		hold = outage()
	}
	if s.during != nil {
		s.during(tr)
	} else {
		<-time.After(hold)
	}
	for _, heal := range heals {
		heal()
	}
	healed := time.Now()
	tr.calm()
	told := time.Now()
	r := row{name: s.name, normal: tr.normal(healed, mostRepair)}
	for g := range tr.excused {
		tr.excused[g].Store(false)
	}
	<-time.After(300 * time.Millisecond)
	tr.end()
	tr.audited()
	stopWatching()
	if lost := <-back; !s.loses {
		for _, text := range lost {
			t.Error(text)
		}
	} else if len(lost) > 0 {
		t.Logf("as it may: %s (and %d more)", lost[0], len(lost)-1)
	}
	r.growth, r.grown = rss.end()
	bound := max(lag, s.bound)
	if s.waits {
		bound += healed.Sub(broken) + r.normal
	}
	calm := time.Duration(0)
	if s.prompt {
		calm = told.Sub(tr.h.begin) + lag
	}
	r.verdict = check(tr.h.answers, tr.h.writes, tr.h.lost, rules{fleet: bound, gateway: bound, origin: s.origin, calm: calm, fails: s.fails})
	if s.prompt {
		t.Logf("the last request that was answered with something stale began %.2f s after healing", max(0, r.verdict.lastStale-healed.Sub(tr.h.begin)).Seconds())
	}
	for _, v := range r.verdict.violations {
		t.Error(v)
	}
	if n := r.verdict.count - len(r.verdict.violations); n > 0 {
		t.Errorf("and %d violations more", n)
	}
	if r.growth > mostGrowth {
		t.Errorf("%s grew by %d MiB, %d are allowed", r.grown, r.growth>>20, mostGrowth>>20)
	}
	w.repaired()
	if dead, err := w.offsets.GetOffset(w.topic("dead"), 0, -1); err == nil {
		w.dead = dead
	}
	if t.Failed() {
		dir, err := os.MkdirTemp("", "fault-"+s.name+"-")
		if err == nil {
			t.Logf("the logs of the fleet are in %s", dir)
			for _, m := range w.members() {
				_ = os.WriteFile(dir+"/"+m.name, []byte(m.Stderr()), 0o600)
			}
		}
	}
	r.took = time.Since(began)
	t.Log(r.String())
	return r
}

// watch samples the memory of the fleet's processes.
type watch struct {
	stop   chan struct{}
	done   sync.WaitGroup
	growth int64
	name   string
}

func watchMemory(w *world) *watch {
	m := &watch{stop: make(chan struct{})}
	type start struct {
		pid  int
		size int64
	}
	first := map[string]start{}
	for _, p := range w.members() {
		first[p.name] = start{p.Pid(), memory(p.Pid())}
	}
	m.done.Go(func() {
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-m.stop:
				return
			case <-tick.C:
			}
			for _, p := range w.members() {
				if f := first[p.name]; f.pid == p.Pid() { // one that was started again is another one
					if g := memory(f.pid) - f.size; g > m.growth {
						m.growth, m.name = g, p.name
					}
				}
			}
		}
	})
	return m
}

func (m *watch) end() (growth int64, name string) {
	close(m.stop)
	m.done.Wait()
	return m.growth, m.name
}

func (r row) fields() []string {
	requests, slowest := 0, time.Duration(0)
	var failed []string
	for c := range classCount {
		requests += r.verdict.requests[c]
		if n := r.verdict.failed[c]; n > 0 {
			failed = append(failed, fmt.Sprintf("%v %d of %d", c, n, r.verdict.requests[c]))
		}
		slowest = max(slowest, r.verdict.slowest[c])
	}
	if failed == nil {
		failed = []string{"none"}
	}
	return []string{r.name, fmt.Sprint(requests), strings.Join(failed, ", "), fmt.Sprint(r.verdict.marked),
		fmt.Sprintf("%v", r.verdict.stalest.Round(10*time.Millisecond)), fmt.Sprintf("%v", r.verdict.regressed.Round(10*time.Millisecond)), fmt.Sprintf("%v", r.verdict.oldest.Round(10*time.Millisecond)),
		fmt.Sprintf("%.1f", slowest.Seconds()), fmt.Sprintf("%.1f", r.normal.Seconds()), fmt.Sprintf("%d %s", r.growth>>20, r.grown), fmt.Sprintf("%.0f", r.took.Seconds())}
}

func header() []string {
	return []string{"scenario", "requests", "failed", "marked", "stalest", "regressed", "oldest", "slowest s", "normal after s", "RSS growth MiB", "took s"}
}

func (r row) String() string {
	var b strings.Builder
	for i, f := range r.fields() {
		fmt.Fprintf(&b, "%s: %s; ", header()[i], f)
	}
	return b.String()
}

// named says whether the command line names scenarios: those are played in any form.
func named() bool { return strings.Contains(flag.Lookup("test.run").Value.String(), "/") }

// TestFaults plays the scenarios one after the other on one set of servers and one fleet.
func TestFaults(t *testing.T) {
	all := scenarios()
	w := newWorld(t)
	var rows []row
	for i, s := range all {
		if !s.ci && !long() && !named() {
			continue
		}
		t.Run(s.name, func(t *testing.T) { rows = append(rows, s.run(t, w, i)) })
	}
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join(header(), "\t"))
	for _, r := range rows {
		fmt.Fprintln(table, strings.Join(r.fields(), "\t"))
	}
	table.Flush()
	t.Logf("%d of %d scenarios\n%s", len(rows), len(all), b.String())
}
