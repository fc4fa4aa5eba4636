package console

import (
	"math"
	"time"
)

// Series are the last quarter of an hour of the fleet, a value each five seconds.
type Series struct {
	From int64 `json:"from"` // unix ms of the first value
	Step int64 `json:"step"` // ms
	// Lines by name. A value of -1 is unknown: no process had a sample, or nothing
	// was observed.
	Lines map[string][]float64 `json:"lines"`
}

// Lines that are rates a second, and those that are quantiles.
func rates() []string {
	list := []string{"failed", "pulls", "changes.applied", "changes.deleted", "changes.retry", "changes.rejected"}
	for _, l := range layers() {
		list = append(list, "requests."+l)
	}
	return list
}

func quantiles() []struct {
	line, spread string
	q            float64
} {
	return []struct {
		line, spread string
		q            float64
	}{
		{"latency.p50", "latency", 0.5}, {"latency.p99", "latency", 0.99}, {"invalidation.p99", "invalidation", 0.99},
		{"change.p99", "change", 0.99}, {"staleness.p99", "staleness", 0.99},
	}
}

// merge adds up the samples of all processes. The newest value of the series is
// that of the last five seconds that are over, and which all have had a second to
// report; a process that is late is missing in it for one look.
func merge(peers []*peer, now time.Time) Series {
	end := now.Add(-time.Second).Truncate(sampleEvery).UnixMilli()
	step := sampleEvery.Milliseconds()
	s := Series{From: end - int64(samples-1)*step, Step: step, Lines: map[string][]float64{}}
	// over calls fn for each value that a sample stands for: more than one, where it came late.
	over := func(sample Sample, fn func(i int)) {
		last := (sample.At - s.From) / step
		first := last + 1 - max(1, int64(math.Round(sample.Seconds/sampleEvery.Seconds())))
		for i := max(first, 0); i <= last && i < int64(samples); i++ {
			fn(int(i))
		}
	}
	line := func(name string) []float64 {
		l := make([]float64, samples)
		for i := range l {
			l[i] = -1
		}
		s.Lines[name] = l
		return l
	}
	sum := func(name string, value func(Sample) float64) {
		l := line(name)
		for _, p := range peers {
			for _, sample := range p.samples {
				over(sample, func(i int) { l[i] = max(l[i], 0) + value(sample) })
			}
		}
	}
	for _, key := range rates() {
		sum(key, func(s Sample) float64 { return s.Values[key] / max(s.Seconds, 1) })
	}
	sum("leader", func(s Sample) float64 { return s.Values["leader"] })
	for _, q := range quantiles() {
		l, all := line(q.line), make([][]float64, samples)
		var bounds []float64
		for _, p := range peers {
			if p.report == nil || len(p.report.Bounds[q.spread]) == 0 {
				continue
			}
			if bounds == nil {
				bounds = p.report.Bounds[q.spread]
			}
			if len(p.report.Bounds[q.spread]) != len(bounds) {
				continue // another version, with other buckets
			}
			for _, sample := range p.samples {
				if seen := sample.Spreads[q.spread]; seen != nil {
					over(sample, func(i int) { all[i] = addTo(all[i], seen) })
				}
			}
		}
		for i, counts := range all {
			l[i] = quantile(bounds, counts, q.q)
		}
	}
	return s
}

// leaderless reports whether the processes that were heard have had no leader of
// the bus in the last value, and since when.
func (s Series) leaderless() (since int64, none bool) {
	l := s.Lines["leader"]
	for i := len(l) - 1; i >= 0 && l[i] == 0; i-- {
		since, none = s.From+int64(i)*s.Step, true
	}
	return since, none
}
