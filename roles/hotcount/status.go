package hotcount

import (
	"cmp"
	"slices"
	"time"

	"eshop/pkg/hotlist"
)

// partitionStatus is one partition of this process on the status page.
type partitionStatus struct {
	Partition   int32     `json:"partition"`
	Next        int64     `json:"next"`
	Lag         int64     `json:"lag"`
	Watermark   time.Time `json:"watermark,omitzero"`
	Rebuilt     bool      `json:"rebuilt"`
	Publishing  bool      `json:"publishing"`
	Generation  int64     `json:"generation"`
	Hot         int       `json:"hot"`
	Waiting     int64     `json:"waiting"` // meet the rule and find no room
	Distinct    int64     `json:"distinct"`
	Exact       bool      `json:"exact"`
	WindowBytes int64     `json:"windowBytes"`
}

// status is the role's part of the status page.
func (r *Role) status() any {
	held := r.holder.holds()
	parts := make([]partitionStatus, 0, len(held))
	for id := range held {
		parts = append(parts, held[id].status(id))
	}
	slices.SortFunc(parts, func(a, b partitionStatus) int { return cmp.Compare(a.Partition, b.Partition) })
	out := struct {
		ID         string            `json:"id"`
		ZooKeeper  string            `json:"zookeeper"`
		Group      any               `json:"group"`
		Rule       hotlist.Rule      `json:"rule"`
		Partitions []partitionStatus `json:"partitions"`
		ListsAge   string            `json:"listsAge,omitempty"`
		Pins       int               `json:"pins"`
		Bans       int               `json:"bans"`
		Detection  delaySummary      `json:"detectionMs"`
		Streams    int               `json:"streams"`
	}{ID: r.cfg.ID, ZooKeeper: r.zk.State().String(), Group: r.reader.Status(), Rule: *r.shared.rule.Load(), Partitions: parts,
		Detection: r.shared.delays.summary(), Streams: r.live.count()}
	if v := r.shared.view.Load(); v != nil {
		out.ListsAge = time.Since(v.Changed).Round(time.Millisecond).String()
		out.Pins, out.Bans = len(v.Pins), len(v.Bans)
	}
	return out
}

func (p *partition) status(id int32) partitionStatus {
	s := partitionStatus{Partition: id, Next: p.next.Load(), Lag: p.behind(), Generation: p.pub.generation.Load(), WindowBytes: p.bytes.Load()}
	if w := p.watermark.Load(); w > 0 {
		s.Watermark = time.UnixMilli(w).UTC()
	}
	if now := p.state.Load(); now != nil {
		s.Rebuilt, s.Publishing = true, now.published && !p.pub.superseded.Load()
		s.Hot, s.Waiting, s.Distinct, s.Exact = len(now.hot), now.waiting, now.distinct, now.exact
	}
	return s
}
