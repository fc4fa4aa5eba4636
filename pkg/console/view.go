package console

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"eshop/pkg/hotlist"
	"eshop/pkg/membership"
	"eshop/pkg/monitoring"
)

// layers are where a page can come from, the nearest first.
func layers() []string { return []string{"l1", "peer", "redis", "cache", "origin", "none"} }

// View is the fleet as this process sees it.
type View struct {
	Now       int64        `json:"now"` // unix ms, as all times
	Here      []Member     `json:"here"`
	CanChange bool         `json:"canChange"`
	Kinds     []string     `json:"kinds"`
	ZooKeeper string       `json:"zookeeper"`
	Members   []MemberView `json:"members"`
	More      int          `json:"more"` // members beyond those asked
	Findings  []Finding    `json:"findings"`
	Series    Series       `json:"series"`
	Hot       []HotView    `json:"hot"`
	Pins      []MarkView   `json:"pins"`
	Bans      []MarkView   `json:"bans"`
}

// MemberView is one role of one process.
type MemberView struct {
	Member
	Addr    string             `json:"addr"`
	Here    bool               `json:"here"`
	State   string             `json:"state"` // ready, waiting or silent
	Why     []string           `json:"why"`   // what it waits for, or why it is silent
	Since   int64              `json:"since"` // it was started, or is silent; 0: unknown
	Version string             `json:"version"`
	Values  map[string]float64 `json:"values"` // of its newest sample, which is of so many
	Seconds float64            `json:"seconds"`
}

// HotView is a hot product.
type HotView struct {
	ID     string `json:"id"` // ids may be too large for a number of JavaScript
	Count  int64  `json:"count"`
	Since  int64  `json:"since"`
	Reason string `json:"reason"`
}

// MarkView is a pin or a ban.
type MarkView struct {
	ID string `json:"id"`
	By string `json:"by"`
	At int64  `json:"at"`
}

const maxHotShown = 100

// look returns a view that is at most lookFresh old. Whoever asks at the same time
// shares one.
func (c *Console) look(ctx context.Context) (*View, error) {
	if v := c.fresh(); v != nil {
		return v, nil
	}
	v, _, err := c.looks.Do(ctx, struct{}{}, func(ctx context.Context) (*View, error) {
		c.looking.Lock()
		defer c.looking.Unlock()
		if v := c.fresh(); v != nil {
			return v, nil
		}
		peers, more := c.targets()
		byAddr := map[string]*peer{}
		for _, p := range peers {
			if old := c.peers[p.addr]; old != nil {
				p.report, p.samples, p.silent = old.report, old.samples, old.silent
			}
			byAddr[p.addr] = p
		}
		c.peers = byAddr
		c.refresh(ctx, peers)
		now := time.Now()
		v := c.view(peers, more, now)
		silent := map[string]bool{}
		for _, p := range peers {
			silent[p.addr] = p.err != nil
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.last, c.lastAt, c.silent = v, now, silent
		return v, nil
	})
	return v, err
}

// forgetAfter is how long what the others have told is kept when nobody looks.
const forgetAfter = 2 * time.Minute

func (c *Console) forgetUnseen(ctx context.Context) error {
	tick := time.NewTicker(forgetAfter / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			c.forget(time.Now())
		}
	}
}

// forget leaves of processes nobody has looked at only since when they are silent.
func (c *Console) forget(now time.Time) {
	c.looking.Lock()
	defer c.looking.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.lastAt) < forgetAfter {
		return
	}
	for _, p := range c.peers {
		p.report, p.samples = nil, nil
	}
	c.last = nil
}

func (c *Console) fresh() *View {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v := c.last; v != nil && time.Since(c.lastAt) < lookFresh {
		return v
	}
	return nil
}

// view puts together what the peers have told.
func (c *Console) view(peers []*peer, more int, now time.Time) *View {
	v := &View{Now: now.UnixMilli(), Here: c.cfg.Members, CanChange: c.admin.CanChange(), Kinds: c.kinds, ZooKeeper: c.zk.State().String(),
		More: more, Members: []MemberView{}, Hot: []HotView{}, Pins: []MarkView{}, Bans: []MarkView{}}
	// A process of several roles is asked at each of its addresses and counts once.
	once := map[string]*peer{}
	for _, p := range peers {
		for _, m := range p.members {
			v.Members = append(v.Members, p.show(m))
		}
		if p.report == nil {
			continue
		}
		if len(v.Kinds) == 0 {
			v.Kinds = p.report.Kinds
		}
		if old := once[p.report.Instance]; old == nil || old.err != nil {
			once[p.report.Instance] = p
		}
	}
	slices.SortFunc(v.Members, func(a, b MemberView) int {
		return cmp.Or(cmp.Compare(slices.Index(roles(), a.Role), slices.Index(roles(), b.Role)), cmp.Compare(a.ID, b.ID))
	})
	var distinct []*peer
	for _, p := range once {
		distinct = append(distinct, p)
	}
	v.Series = merge(distinct, now)
	v.Findings = find(peers, distinct, v.Series)
	if hot := c.hot.Load(); hot != nil {
		v.showHot(hot)
	}
	return v
}

func (p *peer) show(m Member) MemberView {
	s := MemberView{Member: m, Addr: p.addr, Here: p.here, State: "ready", Why: []string{}, Values: map[string]float64{}}
	if p.here {
		s.Addr = "this process"
	}
	if r := p.report; r != nil {
		s.Since, s.Version = r.Started, r.Build.Version
		if r.Build.Revision != "" {
			s.Version += " " + r.Build.Revision[:min(len(r.Build.Revision), 12)]
		}
		if !r.Ready {
			s.State, s.Why = "waiting", append(s.Why, r.Reasons...)
		}
	}
	if n := len(p.samples); n > 0 {
		s.Values, s.Seconds = p.samples[n-1].Values, p.samples[n-1].Seconds
	}
	if since, why := p.lost(m); why != nil {
		s.State, s.Why, s.Since, s.Version, s.Values = "silent", []string{why.Error()}, since, "", map[string]float64{}
	}
	return s
}

func (v *View) showHot(hot *hotlist.View) {
	for id, k := range hot.Hot {
		v.Hot = append(v.Hot, HotView{strconv.FormatInt(id, 10), k.Count, k.Since, k.Reason})
	}
	slices.SortFunc(v.Hot, func(a, b HotView) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.ID, b.ID)) })
	v.Hot = v.Hot[:min(len(v.Hot), maxHotShown)]
	v.Pins, v.Bans = showMarks(hot.Pins), showMarks(hot.Bans)
}

func showMarks(marks map[int64]hotlist.Mark) []MarkView {
	list := make([]MarkView, 0, len(marks))
	for id, m := range marks {
		list = append(list, MarkView{strconv.FormatInt(id, 10), m.By, m.At})
	}
	slices.SortFunc(list, func(a, b MarkView) int { return cmp.Or(cmp.Compare(b.At, a.At), cmp.Compare(a.ID, b.ID)) })
	return list
}

// find gathers the troubles of all processes by alert, the most urgent first.
func find(peers, distinct []*peer, s Series) []Finding {
	found := map[string]*Finding{}
	add := func(alert string, since int64, members []Member) {
		f := found[alert]
		if f == nil {
			f = &Finding{Alert: alert, Since: since}
			found[alert] = f
		}
		f.Since = min(f.Since, since)
		if len(members) > 0 {
			f.Members = append(f.Members, names(members))
		}
	}
	silentCaches := 0
	for _, p := range peers {
		for _, m := range p.members {
			if since, why := p.lost(m); why != nil {
				alert := noAnswer
				if m.Role == roleHotcount && membership.OnLoopback(p.addr) {
					alert = onlyThere
				}
				add(alert, since, []Member{m})
				if m.Role == roleCache {
					silentCaches++
				}
			}
		}
	}
	for _, p := range distinct {
		if p.err != nil {
			continue // what it said last is not so any more, or not known to be
		}
		for _, t := range p.report.Troubles {
			add(t.Alert, t.Since, p.report.Members)
		}
	}
	// Who does not answer may be the leader. One whose clock is behind is missing in
	// the newest value of the series: what it says last counts.
	leads := func(p *peer) bool {
		n := len(p.samples)
		return p.err == nil && n > 0 && p.samples[n-1].Values["leader"] > 0
	}
	if since, none := s.leaderless(); none && silentCaches == 0 && !slices.ContainsFunc(distinct, leads) {
		add(noHeartbeats, since, nil)
	}
	list := []Finding{}
	for _, severity := range []monitoring.Severity{monitoring.Page, monitoring.Ticket} {
		for _, a := range alerts() {
			if f := found[a.Name]; f != nil && a.Severity == severity {
				f.Severity, f.Means, f.Do = a.Severity, a.Means, a.Do
				slices.Sort(f.Members)
				list = append(list, *f)
			}
		}
	}
	return list
}
