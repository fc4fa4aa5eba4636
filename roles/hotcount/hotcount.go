package hotcount

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"eshop/pkg/hotlist"
	"eshop/pkg/kafka"
	"eshop/pkg/lifecycle"
	"eshop/pkg/zookeeper"
)

// Role is one hotcount process. New makes it, Run owns all its goroutines.
type Role struct {
	cfg    Config
	log    *slog.Logger
	ready  *lifecycle.Ready
	zk     *zookeeper.Session
	lists  *hotlist.Client
	reader *kafka.GroupReader

	shared  *shared
	holder  *holder
	tops    atomic.Pointer[[]hotlist.Top]
	history history
	live    *live
}

// New checks the configuration and makes every client; it does no I/O.
func New(cfg Config, deps Deps) (*Role, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.Ready == nil {
		deps.Ready = new(lifecycle.Ready)
	}
	r := &Role{cfg: cfg, log: deps.Log, ready: deps.Ready, live: newLive()}
	var err error
	fail := func(what string, err error) (*Role, error) { return nil, fmt.Errorf("set up %s: %w", what, err) }
	if r.zk, err = zookeeper.New(cfg.ZooKeeper, zookeeper.Deps{Log: deps.Log, Registry: deps.Registry}); err != nil {
		return fail("the ZooKeeper session", err)
	}
	r.lists = hotlist.New(hotlist.Deps{Session: r.zk, Log: deps.Log})
	r.shared = &shared{log: deps.Log, delays: &delays{}}
	r.shared.rule.Store(&cfg.Rule)
	r.holder = newHolder(r.shared, cfg.Memory)
	r.holder.publisher, r.holder.rejoin = r.publisher, r.rejoin
	if r.shared.metrics, err = newMetrics(deps.Registry, r.holder); err != nil {
		return fail("the metrics", err)
	}
	cfg.Kafka.ClientID = "eshop-hotcount"
	r.reader, err = kafka.NewGroupReader(kafka.GroupReaderConfig{Config: cfg.Kafka, Group: cfg.Group, Topic: cfg.TopicAccess, SessionTimeout: cfg.SessionTimeout},
		r.holder, kafka.Deps{Log: deps.Log, Registry: deps.Registry})
	if err != nil {
		return fail("the reader of the access log", err)
	}
	r.ready.Expect(needsZooKeeper, needsKafka)
	if deps.Admin != nil {
		r.serve(deps.Admin)
	}
	return r, nil
}

// Listen has nothing to bind: the role is asked over the admin listener.
func (r *Role) Listen() error { return nil }

// Addresses is empty, see Listen.
func (r *Role) Addresses() []lifecycle.Address { return nil }

// Run counts until ctx ends. It returns when every goroutine of the role has.
func (r *Role) Run(ctx context.Context) error {
	g := lifecycle.New(lifecycle.Config{}, lifecycle.Deps{Log: r.log})
	// None waits for another: a dependency may come later, and /-/ready tells.
	g.Add("readiness", lifecycle.Started(r.watchReady))
	g.Add("zookeeper", lifecycle.Started(r.zk.Run))
	g.Add("rule", lifecycle.Started(r.followRule))
	g.Add("lists", lifecycle.Started(r.followLists))
	g.Add("tops", lifecycle.Started(r.followTops))
	g.Add("clock", lifecycle.Started(r.everySecond))
	g.Add("counting", lifecycle.Started(r.reader.Run))
	return g.Run(ctx)
}

// What the role waits for at its start, as /-/ready names it.
const (
	needsZooKeeper = "hotcount zookeeper"
	needsKafka     = "hotcount kafka"
)

// watchReady tells what the role waits for at its start. A process to which the
// group has given no partition is ready too: it stands by.
func (r *Role) watchReady(ctx context.Context) error {
	return r.ready.Await(ctx,
		lifecycle.Requirement{Name: needsZooKeeper, Met: r.zk.Usable},
		lifecycle.Requirement{Name: needsKafka, Met: func(context.Context) error {
			s := r.reader.Status()
			if s.Joined {
				return nil
			}
			if s.LastError != "" {
				return fmt.Errorf("joining the group %s: %s", r.cfg.Group, s.LastError)
			}
			return errors.New("joining the group " + r.cfg.Group)
		}})
}

// rejoin takes all partitions anew.
func (r *Role) rejoin() { r.reader.Rejoin() }

// everySecond looks after what ages.
func (r *Role) everySecond(ctx context.Context) error {
	defer r.live.end()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			r.holder.forget(now)
			b := r.board()
			r.history.record(b)
			r.live.show(func() []byte { return r.event(b, now) })
		}
	}
}
