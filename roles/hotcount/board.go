package hotcount

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"eshop/pkg/hotlist"
)

// board is what this process knows of all partitions together: the state of its
// own, and of the others the lists they have published.
type board struct {
	parts     []partitionState  // by partition
	hot       []hotState        // by count, descending; pins applied, bans taken out
	top       hotlist.Counts    // by count, descending; distinct
	rates     map[int64]float64 // hits a second, by product
	total     int64             // hits in the windows
	distinct  int64             // products in the windows
	rate      float64           // hits a second, over the windows
	lag       int64             // records not counted yet
	watermark int64             // the oldest of the partitions', ms since 1970; 0 while none is known
	threshold float64           // the highest of the own partitions'
	view      *hotlist.View     // never nil
}

type partitionState struct {
	partition  int32
	holder     string
	local      bool
	watermark  int64 // ms since 1970
	lag        int64 // records
	rate       float64
	generation int64
	at         time.Time // of what is known of it
}

type hotState struct {
	id, count int64
	rate      float64
	since     int64 // ms since 1970
	reason    string
}

// knowledge is what a board is made from: one partition, from its own state or
// from what was published of it.
type knowledge struct {
	state                     partitionState
	span                      time.Duration
	total, distinct           int64
	threshold                 float64
	hot                       []hotlist.Key
	ranking, newest, pinnedAt hotlist.Counts // later ones replace earlier ones
}

// board puts together what is known now.
func (r *Role) board() *board {
	b := &board{view: r.shared.view.Load(), rates: map[int64]float64{}}
	if b.view == nil {
		b.view = &hotlist.View{}
	}
	known := map[int32]*knowledge{}
	of := func(partition int32) *knowledge {
		k := known[partition]
		if k == nil {
			k = &knowledge{state: partitionState{partition: partition}}
			known[partition] = k
		}
		return k
	}
	for _, list := range b.view.Lists {
		of(list.Partition).hotList(&list)
	}
	if tops := r.tops.Load(); tops != nil {
		for _, list := range *tops {
			of(list.Partition).topList(&list)
		}
	}
	for id, p := range r.holder.holds() {
		if s := p.state.Load(); s != nil && s.published && !p.pub.superseded.Load() {
			of(id).own(p, s, r.cfg.ID)
		}
	}
	counts := map[int64]int64{}
	for _, id := range slices.Sorted(maps.Keys(known)) {
		b.add(known[id], counts)
	}
	for id, n := range counts {
		b.top = append(b.top, hotlist.Count{ID: id, N: n})
	}
	slices.SortFunc(b.top, func(x, y hotlist.Count) int { return cmp.Or(cmp.Compare(y.N, x.N), cmp.Compare(x.ID, y.ID)) })
	b.heat(known, counts)
	return b
}

func (k *knowledge) hotList(list *hotlist.Hot) {
	k.hot = list.Keys
	s := &k.state
	s.holder, s.watermark, s.generation, s.at = list.Holder, list.Watermark, list.Generation, time.UnixMilli(list.Published)
	for _, key := range list.Keys {
		k.newest = append(k.newest, hotlist.Count{ID: key.ID, N: key.Count})
	}
}

func (k *knowledge) topList(list *hotlist.Top) {
	k.span, k.total, k.distinct = time.Duration(list.Span)*time.Millisecond, list.Total, list.Distinct
	k.ranking = list.Keys
	s := &k.state
	s.rate, s.lag = list.Rate, list.Lag
	if list.Watermark >= s.watermark {
		s.holder, s.watermark, s.generation, s.at = list.Holder, list.Watermark, list.Generation, time.UnixMilli(list.Published)
		k.ranking, k.newest = k.newest, k.ranking
	}
}

// own replaces what was published of a partition by the state of the process
// that holds it. Its last ranking is longer than the state's, and older.
func (k *knowledge) own(p *partition, s *snapshot, holder string) {
	k.state = partitionState{
		partition: k.state.partition, holder: holder, local: true, watermark: p.watermark.Load(), lag: p.behind(),
		rate: float64(s.total) / s.span.Seconds(), generation: s.generation, at: s.at,
	}
	k.span, k.total, k.distinct, k.threshold = s.span, s.total, s.distinct, s.threshold
	k.ranking, k.newest, k.pinnedAt, k.hot = nil, s.top, nil, nil
	if list := p.ranking.Load(); list != nil {
		k.ranking = list.Keys
	}
	for id, n := range s.marked {
		k.pinnedAt = append(k.pinnedAt, hotlist.Count{ID: id, N: n})
	}
	for _, h := range s.hot {
		k.hot = append(k.hot, hotlist.Key{ID: h.ID, Count: h.Count, Since: h.Since})
		k.pinnedAt = append(k.pinnedAt, hotlist.Count{ID: h.ID, N: h.Count})
	}
}

// add sums a partition up. A product is in one partition only, unless somebody
// writes to the topic without keys: then its counts are added.
func (b *board) add(k *knowledge, counts map[int64]int64) {
	b.parts = append(b.parts, k.state)
	b.total += k.total
	b.distinct += k.distinct
	b.rate += k.state.rate
	b.lag += k.state.lag
	b.threshold = max(b.threshold, k.threshold)
	if w := k.state.watermark; w > 0 && (b.watermark == 0 || w < b.watermark) {
		b.watermark = w
	}
	own := map[int64]int64{}
	for _, list := range []hotlist.Counts{k.ranking, k.newest, k.pinnedAt} {
		for _, c := range list {
			own[c.ID] = c.N
		}
	}
	for id, n := range own {
		if n == 0 {
			continue
		}
		counts[id] += n
		if k.span > 0 {
			b.rates[id] += float64(n) / k.span.Seconds()
		}
	}
}

// heat lists what is hot, as the gateways see it.
func (b *board) heat(known map[int32]*knowledge, counts map[int64]int64) {
	hot := map[int64]hotState{}
	for _, k := range known {
		for _, key := range k.hot {
			hot[key.ID] = hotState{id: key.ID, since: key.Since, reason: hotlist.ReasonRule}
		}
	}
	for id, mark := range b.view.Pins {
		h, is := hot[id]
		if !is {
			h = hotState{id: id, since: mark.At}
		}
		h.reason = hotlist.ReasonPin
		hot[id] = h
	}
	for id, h := range hot {
		if _, banned := b.view.Bans[id]; !banned {
			h.count, h.rate = counts[id], b.rates[id]
			b.hot = append(b.hot, h)
		}
	}
	slices.SortFunc(b.hot, func(x, y hotState) int { return cmp.Or(cmp.Compare(y.count, x.count), cmp.Compare(x.id, y.id)) })
}

// share is a count's part of all hits in the windows.
func (b *board) share(count int64) float64 {
	if b.total == 0 {
		return 0
	}
	return float64(count) / float64(b.total)
}
