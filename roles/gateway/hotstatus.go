package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/accesslog"
	"eshop/pkg/catalog"
)

// heat is what the admin API tells of one product.
type heat struct {
	Hot    bool       `json:"hot"`
	Since  *time.Time `json:"since,omitempty"`
	Reason string     `json:"reason,omitempty"` // "rule" or "pin"
	Count  int64      `json:"count,omitempty"`  // hits in the window
	// ByHeat: there is a copy here only because the product is hot.
	ByHeat bool `json:"copyByHeat"`
}

func (h *hot) explain(key catalog.Key) heat {
	if key.Kind != accesslog.Kind {
		return heat{}
	}
	k, ok := h.set.Load().keys[key.ID]
	if !ok {
		return heat{}
	}
	since := time.UnixMilli(k.Since).UTC()
	return heat{Hot: true, Since: &since, Reason: k.Reason, Count: k.Count,
		ByHeat: h.foreign(key.ID) && h.role.l1.index.find(key) != nil}
}

// hotStatus is the part of /api/status about hot products.
type hotStatus struct {
	Keys    int       `json:"keys"`
	Waiting int64     `json:"waiting"` // to be loaded
	Lists   []hotList `json:"lists"`
}

// hotList is one partition's list. While ZooKeeper or the list's holder is away
// it stays in use and its age grows.
type hotList struct {
	Partition int32  `json:"partition"`
	Holder    string `json:"holder"`
	Keys      int    `json:"keys"`
	Age       string `json:"age"` // since it was published
}

func (h *hot) status(now time.Time) hotStatus {
	set := h.set.Load()
	s := hotStatus{Keys: len(set.keys), Waiting: h.keep.waiting.Load(), Lists: []hotList{}}
	for _, l := range set.lists {
		age := max(0, now.Sub(time.UnixMilli(l.Published)))
		s.Lists = append(s.Lists, hotList{l.Partition, l.Holder, len(l.Keys), age.Round(time.Millisecond).String()})
	}
	return s
}

func (h *hot) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		gauge("gateway_hot_keys", "Hot products that this gateway knows of.", func() float64 { return float64(len(h.set.Load().keys)) }),
		gauge("gateway_hot_list_age_seconds", "Age of the oldest list of hot products; -1 without any.", func() float64 {
			if age, ok := h.set.Load().oldest(time.Now()); ok {
				return age.Seconds()
			}
			return -1
		}),
		gauge("gateway_hot_queue", "Hot products that wait to be loaded.", func() float64 { return float64(h.keep.waiting.Load()) }),
	}
}

// warmStatus is the part of /api/status about the start.
type warmStatus struct {
	Done   bool   `json:"done"`
	Pages  int64  `json:"pages"`
	Of     int64  `json:"of"` // -1: not known yet
	Failed int64  `json:"failed"`
	Took   string `json:"took,omitempty"`
}

func (w *warm) status() warmStatus {
	s := warmStatus{Pages: w.pages.Load(), Of: w.of.Load(), Failed: w.failed.Load()}
	if took := time.Duration(w.took.Load()); took > 0 {
		s.Done, s.Took = true, took.Round(time.Millisecond).String()
	}
	return s
}

func (w *warm) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		gauge("gateway_warm_pages", "Pages made before this gateway joined the others.", func() float64 { return float64(w.pages.Load() - w.failed.Load()) }),
		gauge("gateway_warm_seconds", "How long that took; 0 before it is done.", func() float64 { return time.Duration(w.took.Load()).Seconds() }),
	}
}
