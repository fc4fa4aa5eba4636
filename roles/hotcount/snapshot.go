package hotcount

import (
	"time"

	"eshop/pkg/hotlist"
	"eshop/pkg/window"
)

// snapshotTop is how many of its most frequent products a partition shows live;
// the rest of a ranking is as old as the published list.
const snapshotTop = 50

// snapshot is the state of a partition that this process holds, made by the
// counting loop once a second for whoever wants to see it. It is not changed
// afterwards.
type snapshot struct {
	at         time.Time
	span       time.Duration
	total      int64   // hits in the window
	distinct   int64   // products in the window
	exact      bool    // every product of the window has a counter of its own
	threshold  float64 // what makes a product hot here, hits in the window
	waiting    int64   // products that meet the rule and find no room among the hot
	published  bool    // the hot keys are this process's to tell
	hot        []window.Hot
	top        hotlist.Counts
	marked     map[int64]int64 // hits of pinned products
	generation int64
}

func (p *partition) snap(now time.Time) *snapshot {
	s := &snapshot{
		at: now, span: p.c.span,
		total: p.c.win.Total(), distinct: p.c.win.Distinct(), exact: p.c.win.Exact(),
		threshold: p.detector.Threshold(), waiting: p.detector.Overflow(),
		published: p.restored && !p.pub.superseded.Load(), generation: p.pub.generation.Load(),
	}
	if s.published {
		s.hot = p.detector.Hot()
	}
	for _, k := range p.c.win.Top(snapshotTop, nil) {
		s.top = append(s.top, hotlist.Count(k))
	}
	if v := p.view.Load(); v != nil && len(v.Pins) > 0 {
		s.marked = make(map[int64]int64, len(v.Pins))
		for id := range v.Pins {
			s.marked[id] = p.c.win.Count(id)
		}
	}
	return s
}
