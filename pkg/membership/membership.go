// Package membership says which processes of a role are alive and spreads keys
// over them: ZooKeeper ephemerals make the list, failures seen by this process
// take a member out of it for a while, and a probe brings it back.
//
// While ZooKeeper is away, or says that nobody is left, the last list stays in
// use: a process that has died meanwhile is ejected by the first request it does
// not answer.
package membership

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"eshop/pkg/ring"
	"eshop/pkg/zookeeper"
)

// Session is what this package asks of ZooKeeper; *zookeeper.Session has it.
// Both methods return at once and work in the background until ctx ends.
type Session interface {
	Join(ctx context.Context, group, id string, data []byte)
	WatchChildren(ctx context.Context, path string, fn func(map[string][]byte))
}

// Config configures New.
type Config struct {
	// Role is "gateway" or "cache": the group is members/<role>.
	Role string
	// Self joins the group; nil for a process that only watches it.
	Self *ring.Member
	// JoinWhen is closed when Self is to join; until then the group is only
	// watched. Nil: it joins when Run begins.
	JoinWhen <-chan struct{}
	// VirtualNodes of each member on the ring; 0: the ring's default.
	VirtualNodes int
	// ProbeEvery is how long an ejected member stays out before it is probed,
	// and the time between two probes (default 1 s).
	ProbeEvery time.Duration
	// Probe asks an ejected member whether it is back. Nil: it is let back in
	// after ProbeEvery. A process that is stopped, not dead, still accepts
	// connections, so a probe must wait for an answer.
	Probe func(ctx context.Context, m ring.Member) error
}

// Deps are the group's collaborators.
type Deps struct {
	Log     *slog.Logger
	Session Session
}

// Group is the members of one role as this process sees them. Ring is safe to
// call from any goroutine and is one atomic load.
type Group struct {
	cfg  Config
	log  *slog.Logger
	zk   Session
	ring atomic.Pointer[ring.Ring]

	mu      sync.Mutex
	known   chan struct{}        // closed at the first list
	members []ring.Member        // the list, by id
	out     map[string]time.Time // ejected since
	wake    chan struct{}
}

// New does no I/O.
func New(cfg Config, deps Deps) *Group {
	if cfg.ProbeEvery <= 0 {
		cfg.ProbeEvery = time.Second
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	return &Group{cfg: cfg, log: deps.Log.With("group", cfg.Role), zk: deps.Session,
		out: map[string]time.Time{}, wake: make(chan struct{}, 1), known: make(chan struct{})}
}

// entry is the data of a member's node.
type entry struct {
	ID   string `json:"id"`
	Addr string `json:"addr"`
}

// Run watches the group, joins it and probes ejected members until ctx ends.
func (g *Group) Run(ctx context.Context) error {
	var joining sync.WaitGroup
	defer joining.Wait()
	if self := g.cfg.Self; self != nil {
		data, err := json.Marshal(entry{self.ID, self.Addr})
		if err != nil {
			return fmt.Errorf("encode the member %s: %w", self.ID, err)
		}
		joining.Go(func() {
			if g.cfg.JoinWhen != nil {
				select {
				case <-g.cfg.JoinWhen:
				case <-ctx.Done():
					return
				}
			}
			g.zk.Join(ctx, g.cfg.Role, self.ID, data)
		})
	}
	g.zk.WatchChildren(ctx, zookeeper.MembersPath(g.cfg.Role), g.update)
	g.probe(ctx)
	return nil
}

// update takes a list from ZooKeeper. A node that cannot be read is left out
// and named in the log: one bad member must not hide the others.
func (g *Group) update(nodes map[string][]byte) {
	var members []ring.Member
	for name, data := range nodes {
		var e entry
		if err := json.Unmarshal(data, &e); err != nil || e.ID == "" || e.Addr == "" {
			g.log.Warn("a member's node is unreadable and left out", "node", name, "data", string(data[:min(len(data), 120)]))
			continue
		}
		members = append(members, ring.Member(e))
	}
	slices.SortFunc(members, func(a, b ring.Member) int { return cmp.Compare(a.ID, b.ID) })
	g.mu.Lock()
	defer g.mu.Unlock()
	for id := range g.out { // a member that registered anew has a clean slate
		old := slices.IndexFunc(g.members, func(m ring.Member) bool { return m.ID == id })
		now := slices.IndexFunc(members, func(m ring.Member) bool { return m.ID == id })
		if now < 0 || old < 0 || members[now] != g.members[old] {
			delete(g.out, id)
		}
	}
	if len(members) == 0 && len(g.members) > 0 {
		// Processes cut off from ZooKeeper vanish from the list and go on serving.
		// Those that are really gone are ejected by the first request.
		g.log.Warn("the group's list is empty, its last members stay in use")
		members = g.members
	}
	g.members = members
	g.rebuild()
}

// rebuild makes the ring of those not ejected; of all when none is left, for
// then asking is better than giving up. The caller holds mu.
func (g *Group) rebuild() {
	live := slices.DeleteFunc(slices.Clone(g.members), func(m ring.Member) bool { _, out := g.out[m.ID]; return out })
	if len(live) == 0 {
		live = g.members
	}
	if g.ring.Swap(ring.New(live, g.cfg.VirtualNodes)) == nil {
		close(g.known)
	}
	g.log.Info("ring", "members", len(g.members), "live", len(live))
}

// Ring returns the ring of the live members, nil before the first list.
func (g *Group) Ring() *ring.Ring { return g.ring.Load() }

// Known reports whether a list has arrived.
func (g *Group) Known() bool { return g.ring.Load() != nil }

// Await waits for the first list and returns the ring then. Its error is that
// of a ctx which ended first.
func (g *Group) Await(ctx context.Context) (*ring.Ring, error) {
	select {
	case <-g.known:
		return g.Ring(), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the members of the group %s: %w", g.cfg.Role, context.Cause(ctx))
	}
}

// Eject takes a member that did not answer out of the ring until a probe says
// that it is back. This process itself is never ejected.
func (g *Group) Eject(id string, reason error) {
	if g.cfg.Self != nil && g.cfg.Self.ID == id {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, already := g.out[id]; already || !slices.ContainsFunc(g.members, func(m ring.Member) bool { return m.ID == id }) {
		return
	}
	g.out[id] = time.Now()
	g.log.Warn("member ejected", "member", id, "err", reason)
	g.rebuild()
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// probe waits for ejections and asks the ejected whether they are back.
func (g *Group) probe(ctx context.Context) {
	tick := time.NewTimer(time.Hour)
	defer tick.Stop()
	for {
		if len(g.ejected()) > 0 {
			tick.Reset(g.cfg.ProbeEvery)
		}
		select {
		case <-ctx.Done():
			return
		case <-g.wake:
			continue
		case <-tick.C:
		}
		var wg sync.WaitGroup
		for _, m := range g.ejected() {
			wg.Go(func() {
				pctx, cancel := context.WithTimeout(ctx, g.cfg.ProbeEvery)
				defer cancel()
				if g.cfg.Probe == nil || g.cfg.Probe(pctx, m) == nil {
					g.readmit(m.ID)
				}
			})
		}
		wg.Wait()
	}
}

func (g *Group) ejected() []ring.Member {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []ring.Member
	for _, m := range g.members {
		if _, out := g.out[m.ID]; out {
			list = append(list, m)
		}
	}
	return list
}

func (g *Group) readmit(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, out := g.out[id]; out {
		delete(g.out, id)
		g.log.Info("member is back", "member", id)
		g.rebuild()
	}
}
