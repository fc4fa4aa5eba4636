package console

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"eshop/pkg/admin"
	"eshop/pkg/catalog"
	"eshop/pkg/certificate"
	"eshop/pkg/coalesce"
	"eshop/pkg/hotlist"
	"eshop/pkg/lifecycle"
	"eshop/pkg/membership"
	"eshop/pkg/zookeeper"

	"github.com/prometheus/client_golang/prometheus"
)

// Roles as ZooKeeper lists them.
const (
	roleGateway  = "gateway"
	roleCache    = "cache"
	roleHotcount = "hotcount"
)

func roles() []string { return []string{roleGateway, roleCache, roleHotcount} }

// Config says which process this is and how it reaches the others.
type Config struct {
	// Members are what this process is: its roles, with their ids.
	Members []Member
	// Cluster is the pair that gateways and cache processes are shown, if they have one.
	Cluster   certificate.Config
	ZooKeeper zookeeper.Config
}

// Deps are the console's collaborators.
type Deps struct {
	Log      *slog.Logger
	Admin    *admin.Server
	Gatherer prometheus.Gatherer
	Registry prometheus.Registerer // of its own metrics; nil: none
	Ready    *lifecycle.Ready
	Catalog  *catalog.Catalog // nil in a role that has no use for it
	Build    admin.Build
}

// Console is that of one process. New makes it, Run owns all its goroutines.
type Console struct {
	cfg      Config
	log      *slog.Logger
	admin    *admin.Server
	ready    *lifecycle.Ready
	kinds    []string
	build    admin.Build
	instance string
	started  time.Time
	recorder *recorder
	zk       *zookeeper.Session
	lists    *hotlist.Client
	cluster  *certificate.Source
	client   *http.Client
	looks    *coalesce.Group[struct{}, *View]
	hot      atomic.Pointer[hotlist.View]

	looking sync.Mutex       // held by a look, of which there is one at a time
	peers   map[string]*peer // by address, as the last look found them

	mu     sync.Mutex
	listed map[string]map[Member]string // role to its members and their addresses
	silent map[string]bool              // addresses that did not answer the last look
	last   *View
	lastAt time.Time // when it was made, by a clock that is not set back
}

// New makes the page and its API on the admin listener; it does no I/O. What
// another part of the process serves already is left to it, so a console is made
// after the roles.
func New(cfg Config, deps Deps) (*Console, error) {
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	c := &Console{cfg: cfg, log: deps.Log.With("part", "console"), admin: deps.Admin, ready: deps.Ready, build: deps.Build,
		instance: rand.Text(), started: time.Now(), recorder: newRecorder(deps.Gatherer, deps.Ready),
		looks: coalesce.New[struct{}, *View](coalesce.Config{Timeout: lookLimit + time.Second}), listed: map[string]map[Member]string{}, peers: map[string]*peer{}}
	if deps.Catalog != nil {
		c.kinds = deps.Catalog.KindNames()
	}
	var err error
	if c.cluster, err = certificate.New(cfg.Cluster, certificate.Deps{Log: c.log, Registry: deps.Registry}); err != nil {
		return nil, err
	}
	c.client = newClient(c.cluster)
	// Its own session: roles have theirs, and differ in when they begin and end.
	if c.zk, err = zookeeper.New(cfg.ZooKeeper, zookeeper.Deps{Log: c.log}); err != nil {
		return nil, fmt.Errorf("set up the ZooKeeper session of the console: %w", err)
	}
	c.lists = hotlist.New(hotlist.Deps{Session: c.zk, Log: c.log})
	c.serve()
	return c, nil
}

// Load reads the certificate, which has to be done before Run.
func (c *Console) Load() error { return c.cluster.Load() }

// Run records what the process does and follows who else there is, until ctx ends.
func (c *Console) Run(ctx context.Context) error {
	defer c.client.CloseIdleConnections()
	g := lifecycle.New(lifecycle.Config{}, lifecycle.Deps{Log: c.log})
	g.Add("recorder", lifecycle.Started(c.recorder.run))
	g.Add("zookeeper", lifecycle.Started(c.zk.Run))
	g.Add("certificate", lifecycle.Started(c.cluster.Run))
	g.Add("members", lifecycle.Started(c.followMembers))
	g.Add("memory", lifecycle.Started(c.forgetUnseen))
	g.Add("hot products", lifecycle.Started(func(ctx context.Context) error {
		c.lists.Watch(ctx, func(v *hotlist.View) { c.hot.Store(v) })
		return nil
	}))
	return g.Run(ctx)
}

// listing is the data of a member's node.
type listing struct {
	ID   string `json:"id"`
	Addr string `json:"addr"`
}

// isAddress reports whether a text is a host and a port and nothing else: with a
// path, say, whoever may write a node could choose what is asked, and signed.
func isAddress(text string) bool {
	u, err := url.Parse("http://" + text + "/")
	return err == nil && u.Host == text && u.Hostname() != "" && u.Port() != ""
}

// followMembers watches who there is. A hotcount process has no listener but the
// admin one, and nobody else lists it.
func (c *Console) followMembers(ctx context.Context) error {
	for _, m := range c.cfg.Members {
		if m.Role != roleHotcount {
			continue
		}
		addr, err := membership.Advertised("", c.admin.Addr())
		if err != nil {
			return err
		}
		data, err := json.Marshal(listing{m.ID, addr})
		if err != nil {
			return fmt.Errorf("encode the member %v: %w", m, err)
		}
		c.zk.Join(ctx, m.Role, m.ID, data)
	}
	for _, role := range roles() {
		c.zk.WatchChildren(ctx, zookeeper.MembersPath(role), func(nodes map[string][]byte) {
			members := map[Member]string{}
			for name, data := range nodes {
				var l listing
				if err := json.Unmarshal(data, &l); err != nil || l.ID == "" || !isAddress(l.Addr) {
					c.log.Warn("a member's node is unreadable and left out", "node", name)
					continue
				}
				members[Member{role, l.ID}] = l.Addr
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.listed[role] = members
		})
	}
	<-ctx.Done()
	return nil
}
