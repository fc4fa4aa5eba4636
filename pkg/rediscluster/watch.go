package rediscluster

import (
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// reloadPause is the shortest time between two reloads asked for by errors of
// one client. A dead node under load gives thousands of errors a second.
const reloadPause = 100 * time.Millisecond

// watcher sees every answer of every node. It asks for the slots to be reloaded
// when an answer says that they are out of date (PITFALLS 19, 20), and it tells
// when they have changed.
type watcher struct {
	log     *slog.Logger
	metrics *metrics
	slots   atomic.Uint64 // fingerprint of slots → master, 0: none yet

	mu       sync.Mutex
	fns      []func()
	running  bool
	again    bool
	closed   bool
	callback sync.WaitGroup
}

func newWatcher(log *slog.Logger, m *metrics) *watcher { return &watcher{log: log, metrics: m} }

// attach watches all nodes of c, those it knows and those it will learn.
func (w *watcher) attach(c *redis.ClusterClient) {
	r := &reloader{watcher: w, client: c}
	c.OnNewNode(func(node *redis.Client) { node.AddHook(nodeHook{r}) })
}

func (w *watcher) onChange(fn func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fns = append(w.fns, fn)
}

// loaded compares the slots a node told with the last ones.
func (w *watcher) loaded(slots []redis.ClusterSlot) {
	if len(slots) == 0 {
		return
	}
	now := fingerprint(slots)
	before := w.slots.Swap(now)
	if before == 0 || before == now {
		return
	}
	w.metrics.topology.Inc()
	w.log.Info("redis: the assignment of slots to masters has changed")
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed || len(w.fns) == 0:
	case w.running:
		w.again = true
	default:
		w.running = true
		w.callback.Go(w.tell)
	}
}

func (w *watcher) tell() {
	for {
		w.mu.Lock()
		fns := slices.Clone(w.fns)
		w.again = false
		w.mu.Unlock()
		for _, fn := range fns {
			fn()
		}
		w.mu.Lock()
		if !w.again || w.closed {
			w.running = false
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
	}
}

func (w *watcher) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.callback.Wait()
}

// fingerprint hashes which master has which slots, whatever order the node
// listed them in. Replicas do not count: no write is lost with one.
func fingerprint(slots []redis.ClusterSlot) uint64 {
	lines := make([]string, 0, len(slots))
	for _, s := range slots {
		master := "none"
		if len(s.Nodes) > 0 {
			master = s.Nodes[0].ID + "@" + s.Nodes[0].Addr
		}
		lines = append(lines, strconv.Itoa(s.Start)+"-"+strconv.Itoa(s.End)+"="+master)
	}
	slices.Sort(lines)
	h := fnv.New64a()
	_, _ = h.Write([]byte(strings.Join(lines, "\n")))
	return max(h.Sum64(), 1)
}

// reloader asks one client to reload its slots, at most once each reloadPause.
type reloader struct {
	*watcher
	client *redis.ClusterClient
	last   atomic.Int64
}

func (r *reloader) saw(err error) {
	reason := reloadReason(err)
	if reason == "" {
		return
	}
	now := time.Now().UnixNano()
	last := r.last.Load()
	if now-last < int64(reloadPause) || !r.last.CompareAndSwap(last, now) {
		return
	}
	r.metrics.reloads.WithLabelValues(reason).Inc()
	r.client.ReloadState(context.Background()) // returns at once, the work is done behind it
}

// reloadReason says why an error calls for new slots, "" if it does not.
func reloadReason(err error) string {
	var network net.Error
	switch {
	case err == nil, errors.Is(err, redis.Nil), errors.Is(err, context.Canceled):
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
	}
	var reply redis.Error
	if errors.As(err, &reply) {
		return "" // an ordinary answer
	}
	return "network" // EOF, reset, broken pipe
}

// nodeHook is the watcher's place in the client of one node.
type nodeHook struct{ *reloader }

func (h nodeHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		h.saw(err)
		return conn, err
	}
}

func (h nodeHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		slots, isSlots := cmd.(*redis.ClusterSlotsCmd)
		switch {
		case !isSlots:
			h.saw(err)
		case err == nil: // a failed reload must not ask for another one at once
			h.loaded(slots.Val())
		}
		return err
	}
}

func (h nodeHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		h.saw(err)
		for _, c := range cmds {
			if e := c.Err(); e != nil {
				h.saw(e)
			}
		}
		return err
	}
}
