package rediscluster

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// reloadPause is the shortest time between two reloads asked for by errors of
// one client. A dead node under load gives thousands of errors a second.
const (
	reloadPause = 100 * time.Millisecond
	logPause    = 30 * time.Second // the metric counts every reload
)

// watcher sees every answer of every node of one client. It asks for the slots
// to be reloaded when an answer says that they are out of date (PITFALLS 19, 20).
type watcher struct {
	cfg      Config
	client   *redis.ClusterClient
	topology *topology
	metrics  *metrics
	last     atomic.Int64 // when a reload was last asked for, unix ns
	logged   atomic.Int64 // when that was last logged
	refused  atomic.Int64 // when it was last logged that Redis refuses this client
}

// watch watches all nodes of c, those it knows and those it will learn.
func watch(cfg Config, c *redis.ClusterClient, t *topology, m *metrics) *watcher {
	w := &watcher{cfg: cfg, client: c, topology: t, metrics: m}
	c.OnNewNode(func(node *redis.Client) { node.AddHook(nodeHook{w}) })
	return w
}

// saw looks at the error of one answer, nil included, and returns why it calls
// for new slots, "" if it does not.
func (w *watcher) saw(err error) string {
	reason := reloadReason(err)
	if reason == "" {
		if err != nil && w.cfg.advice(err) != "" && due(&w.refused, time.Now().UnixNano()) {
			w.topology.log.Error("redis: a node refuses this client", "error", w.cfg.explain(err))
		}
		return ""
	}
	now := time.Now().UnixNano()
	if last := w.last.Load(); now-last >= int64(reloadPause) && w.last.CompareAndSwap(last, now) {
		w.metrics.reloads.WithLabelValues(reason).Inc()
		w.client.ReloadState(context.Background()) // returns at once, the work is done behind it
		if due(&w.logged, now) {
			w.topology.log.Warn("redis: a node gives errors, its slots are looked up anew", "reason", reason, "error", w.cfg.explain(err))
		}
	}
	return reason
}

// due reports whether a line may be logged now, and notes that it is.
func due(logged *atomic.Int64, now int64) bool {
	last := logged.Load()
	return now-last >= int64(logPause) && logged.CompareAndSwap(last, now)
}

// reloadReason says why an error calls for new slots, "" if it does not.
func reloadReason(err error) string {
	if err == nil {
		return "" // of nearly every answer, and before anything is allocated
	}
	var network net.Error
	var reply redis.Error
	switch {
	case errors.Is(err, redis.Nil), errors.Is(err, context.Canceled):
		return ""
	case errors.Is(err, redis.ErrClosed), errors.Is(err, redis.ErrPoolTimeout):
		return ""
	case redis.HasErrorPrefix(err, "MOVED"):
		return "moved"
	case redis.HasErrorPrefix(err, "READONLY"):
		return "readonly"
	case redis.HasErrorPrefix(err, "CLUSTERDOWN"), redis.HasErrorPrefix(err, "MASTERDOWN"), redis.HasErrorPrefix(err, "LOADING"):
		return "down"
	case errors.As(err, &network):
		return "network"
	case errors.As(err, &reply):
		return "" // an ordinary answer
	}
	return "network" // EOF, reset, broken pipe
}

// nodeHook is the watcher's place in the client of one node.
type nodeHook struct{ *watcher }

func (h nodeHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		h.saw(err)
		return conn, err
	}
}

// readCommands answers COMMAND, which the library asks a random node for before
// it routes a read to a replica. Answered here, the first read neither waits
// for a node that is dead nor needs the right to run COMMAND.
var readCommands = []string{"hmget", "get"}

func (h nodeHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if info, ok := cmd.(*redis.CommandsInfoCmd); ok {
			known := make(map[string]*redis.CommandInfo, len(readCommands))
			for _, name := range readCommands {
				known[name] = &redis.CommandInfo{Name: name, ReadOnly: true, FirstKeyPos: 1, LastKeyPos: 1, StepCount: 1}
			}
			info.SetVal(known)
			return nil
		}
		err := next(ctx, cmd)
		slots, isSlots := cmd.(*redis.ClusterSlotsCmd)
		switch {
		case !isSlots:
			h.saw(err)
		case err == nil: // a failed reload must not ask for another one at once
			h.topology.loaded(slots.Val())
		}
		return err
	}
}

func (h nodeHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		sent(ctx, err)
		h.saw(err)
		for _, c := range cmds {
			if e := c.Err(); e != nil {
				h.saw(e)
			}
		}
		return err
	}
}
