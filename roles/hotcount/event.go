package hotcount

import (
	"encoding/json"
	"strconv"
	"time"

	"eshop/pkg/hotlist"
)

// liveTop is how many products of the ranking an event has.
const liveTop = 50

// event is what /api/live tells once a second. Times are in ms since 1970,
// durations in ms, rates in hits a second over the window; since is RFC 3339.
type event struct {
	Now       int64          `json:"now"`
	Watermark int64          `json:"watermark"` // the oldest of the partitions'; 0: none known
	Window    float64        `json:"window"`    // seconds
	Rate      float64        `json:"eventsPerSecond"`
	Hits      int64          `json:"hitsTotal"` // in the window
	Distinct  int64          `json:"distinct"`  // in the window
	Lag       int64          `json:"lag"`       // records
	Detection delaySummary   `json:"detection"` // by this process
	Rule      hotlist.Rule   `json:"rule"`
	Threshold eventThreshold `json:"ruleThreshold"`
	Parts     []eventPart    `json:"partitions"`
	Hot       []eventHot     `json:"hot"`
	Top       []eventTop     `json:"top"`
	Pins      []eventMark    `json:"pins"`
	Bans      []eventMark    `json:"bans"`
	Ready     bool           `json:"ready"`
	ZooKeeper string         `json:"zookeeper"`
}

// eventThreshold is the highest threshold of the own partitions, in hits.
type eventThreshold struct {
	Max float64 `json:"max"`
}

type eventPart struct {
	Partition  int32   `json:"partition"`
	Holder     string  `json:"holder"`
	Local      bool    `json:"local"`
	Watermark  int64   `json:"watermark"`
	Lag        int64   `json:"lag"`
	Rate       float64 `json:"rate"`
	Generation int64   `json:"generation"`
	AgeMs      int64   `json:"ageMs"` // of what is known of it
}

type eventHot struct {
	ID     string    `json:"id"`
	Count  int64     `json:"count"`
	Rate   float64   `json:"rate"`
	Share  float64   `json:"share"` // of all hits
	Since  string    `json:"since"`
	Reason string    `json:"reason"`
	Spark  []float32 `json:"spark"` // a rate for each of the last seconds, the oldest first
}

type eventTop struct {
	ID    string  `json:"id"`
	Count int64   `json:"count"`
	Rate  float64 `json:"rate"`
	Share float64 `json:"share"`
	Hot   bool    `json:"hot"`
}

type eventMark struct {
	ID string `json:"id"`
	By string `json:"by"`
	At int64  `json:"at"`
}

// event makes the event of a board.
func (r *Role) event(b *board, now time.Time) []byte {
	rule := *r.shared.rule.Load()
	e := event{
		Now: now.UnixMilli(), Watermark: b.watermark, Window: time.Duration(rule.Window).Seconds(), Rate: b.rate, Hits: b.total,
		Distinct: b.distinct, Lag: b.lag, Detection: r.shared.delays.summary(), Rule: rule, Threshold: eventThreshold{b.threshold},
		Parts: []eventPart{}, Hot: []eventHot{}, Top: []eventTop{}, Pins: eventMarks(b.view.Pins), Bans: eventMarks(b.view.Bans),
		Ready: r.ready.OK(), ZooKeeper: r.zk.State().String(),
	}
	for _, p := range b.parts {
		e.Parts = append(e.Parts, eventPart{p.partition, p.holder, p.local, p.watermark, p.lag, p.rate, p.generation, max(0, now.Sub(p.at).Milliseconds())})
	}
	hot := map[int64]bool{}
	for _, k := range b.hot {
		hot[k.id] = true
		spark := r.history.of(k.id)
		if spark == nil {
			spark = []float32{}
		}
		e.Hot = append(e.Hot, eventHot{decimal(k.id), k.count, k.rate, b.share(k.count), stamp(k.since), k.reason, spark})
	}
	for _, c := range b.top[:min(len(b.top), liveTop)] {
		e.Top = append(e.Top, eventTop{decimal(c.ID), c.N, b.rates[c.ID], b.share(c.N), hot[c.ID]})
	}
	text, err := json.Marshal(e)
	if err != nil {
		// Only numbers that are no JSON could do that, and there are none: no count is
		// divided by zero.
		r.log.Error("an event is no JSON", "err", err)
		return frame([]byte("{}"))
	}
	return frame(text)
}

func eventMarks(marks map[int64]hotlist.Mark) []eventMark {
	list := []eventMark{}
	for _, id := range sortedIDs(marks) {
		list = append(list, eventMark{decimal(id), marks[id].By, marks[id].At})
	}
	return list
}

func decimal(id int64) string { return strconv.FormatInt(id, 10) }

// stamp is a time in ms since 1970 as RFC 3339, empty for none.
func stamp(ms int64) string {
	if ms <= 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}
