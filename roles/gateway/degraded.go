package gateway

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/catalog"
	"eshop/pkg/degrade"
	"eshop/pkg/docapi"
)

// pageModes are modes by page type.
type pageModes [catalog.MaxPages]degrade.Modes

// degraded is what an operator's switches mean here: which kinds are served from
// memory only, and which pages say that a switch may have made them old.
type degraded struct {
	role   *Role
	state  degrade.State
	client *degrade.Client // nil without ZooKeeper, as tests have it
	// pages is the modes of every kind that a page type shows; nil while there are
	// none, so that a hit costs one load of a word that hardly ever changes.
	pages atomic.Pointer[pageModes]
	// answers has the counter of each mode at the place of the mode, which is one
	// bit; it never changes.
	answers [(degrade.NoOrigin | degrade.StaleOnly) + 1]prometheus.Counter
}

func newDegraded(r *Role) *degraded {
	d := &degraded{role: r}
	for _, mode := range degrade.All() {
		d.answers[mode] = prometheus.NewCounter(prometheus.CounterOpts{Name: "eshop_degraded_answers_total",
			Help:        "Answers of the public listener for pages that show a kind for which a degrade switch was in effect.",
			ConstLabels: prometheus.Labels{"mode": mode.String()}})
	}
	return d
}

// run follows the switches until ctx ends.
func (d *degraded) run(ctx context.Context) error {
	d.state.Run(ctx, d.client, d.note)
	return nil
}

// note works out what the switches mean for the page types. It is called after
// each change of what is in effect, by one goroutine.
func (d *degraded) note() {
	if len(d.state.Switches()) == 0 {
		d.pages.Store(nil)
		return
	}
	modes := new(pageModes)
	for i, pt := range d.role.cat.Pages() {
		modes[i] = d.state.Of(pt.Root)
		for _, kind := range pt.Related {
			modes[i] |= d.state.Of(kind)
		}
	}
	d.pages.Store(modes)
}

// of returns the modes of the kinds that a page shows.
func (d *degraded) of(page uint8) degrade.Modes {
	if modes := d.pages.Load(); modes != nil {
		return modes[page]
	}
	return 0
}

// fromMemory reports whether a page is served as it is, without a look elsewhere.
func (d *degraded) fromMemory(page uint8) bool { return d.of(page).Has(degrade.StaleOnly) }

// answered returns what an answer for a page says of the switches, and counts
// it. What a peer asked is counted where it was asked for.
func (d *degraded) answered(page uint8, peer bool) degrade.Modes {
	modes := d.of(page)
	if peer {
		return modes
	}
	for left := modes; left != 0; left &= left - 1 {
		d.answers[left&-left].Inc() // the counter of the lowest bit
	}
	return modes
}

// forbids returns why a document must not be read anywhere but in memory, nil if
// it may.
func (d *degraded) forbids(kind string) error {
	if e := d.state.Forbids(kind, degrade.StaleOnly); e != nil {
		return &docapi.Unavailable{Reason: e.Error(), RetryAfter: e.RetryAfter()}
	}
	return nil
}

// reachable leaves those of the open keys that may be read elsewhere; the others
// get their error, and with it the copy of L1, however old, if there is one.
func (r *Role) reachable(keys []catalog.Key, open []int, out []found) (left []int) {
	for _, i := range open {
		if err := r.degraded.forbids(keys[i].Kind); err != nil {
			out[i].err = err
		} else {
			left = append(left, i)
		}
	}
	return left
}

// announcedHeader is where an owner tells a peer, with a page that is marked
// stale, what the bus has announced of its documents beyond what it shows: the
// form is that of Eshop-Stamps.
const announcedHeader = "Eshop-Announced"

func (r *Role) appendAnnounced(b []byte, deps []*flag) []byte {
	for _, f := range deps {
		if now := r.floor.Of(f.key); f.stamp.Less(now) {
			if len(b) > 0 {
				b = append(b, ' ')
			}
			b = append(append(append(b, f.key.String()...), '@'), now.String()...)
		}
	}
	return b
}

// admits reports whether an owner's copy of a document that is below the floor
// may be shown: with stale-only, when the owner has marked its page and has heard
// of all that is announced here. Had that been a deletion, it would have buried
// its copy: an owner that hears of less than this gateway does may still have one
// of a document that is deleted.
func (d *degraded) admits(page uint8, key catalog.Key, announced []keyStamp) bool {
	return d.fromMemory(page) && slices.ContainsFunc(announced, func(s keyStamp) bool {
		return s.key == key && d.role.floor.Admits(key, s.stamp)
	})
}

func (d *degraded) collectors() []prometheus.Collector {
	all := []prometheus.Collector{d.state.Collector(d.role.cat.KindNames())}
	for _, mode := range degrade.All() {
		all = append(all, d.answers[mode])
	}
	return all
}
