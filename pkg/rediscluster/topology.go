package rediscluster

import (
	"context"
	"hash/fnv"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// pollInterval is how often the slots are reloaded for the sake of
	// OnTopologyChange while nothing else uses the clients.
	pollInterval = time.Second
	// settle is how long after a change the callbacks run. During a failover the
	// nodes' views differ for a moment; this makes one call of it.
	settle = 200 * time.Millisecond
)

// topology tells when slots have moved to another master. It sees each slots
// state that the clients load, so it costs no traffic of its own.
type topology struct {
	log     *slog.Logger
	metrics *metrics
	slots   atomic.Uint64 // fingerprint of slots → master, 0: none yet
	// changedAt is when the last change was noticed, loadedAt when a node last told
	// the slots; unix nanoseconds, 0: never.
	changedAt, loadedAt atomic.Int64

	ctx  context.Context // ends at close
	stop context.CancelFunc
	work sync.WaitGroup

	mu      sync.Mutex
	fns     []func()
	running bool
	again   bool
	runs    map[string]string // run_id by address
}

// maxRuns bounds runs where addresses come and go.
const maxRuns = 4096

func newTopology(log *slog.Logger, m *metrics) *topology {
	t := &topology{log: log, metrics: m, runs: map[string]string{}}
	t.ctx, t.stop = context.WithCancel(context.Background())
	return t
}

// onChange registers fn and, the first time, starts to poll.
func (t *topology) onChange(fn func(), reload func(context.Context)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fns = append(t.fns, fn)
	if len(t.fns) > 1 || t.ctx.Err() != nil {
		return
	}
	t.work.Go(func() {
		ticker := time.NewTicker(pollInterval)
		defer ticker.Stop()
		for {
			reload(t.ctx)
			select {
			case <-t.ctx.Done():
				return
			case <-ticker.C:
			}
		}
	})
}

// loaded compares the slots a node told with the last ones.
func (t *topology) loaded(slots []redis.ClusterSlot) {
	if len(slots) == 0 {
		return
	}
	now := fingerprint(slots)
	if before := t.slots.Swap(now); before != 0 && before != now {
		t.changed("the slots have other masters")
	}
	t.loadedAt.Store(time.Now().UnixNano())
}

// connected notes which process answers at an address. A master that was
// restarted before the others voted comes back empty, and the slots look as if
// nothing had happened.
func (t *topology) connected(addr, info string) {
	_, run, _ := strings.Cut(info, "run_id:")
	run, _, _ = strings.Cut(run, "\r")
	if run == "" {
		return
	}
	t.mu.Lock()
	before := t.runs[addr]
	if len(t.runs) >= maxRuns {
		clear(t.runs)
	}
	t.runs[addr] = run
	t.mu.Unlock()
	if before != "" && before != run {
		t.changed("the node " + addr + " was restarted")
	}
}

// changed has the callbacks run soon. It never blocks.
func (t *topology) changed(why string) {
	t.changedAt.Store(time.Now().UnixNano())
	t.metrics.topology.Inc()
	t.log.Info("redis: the topology has changed", "reason", why)
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.ctx.Err() != nil || len(t.fns) == 0:
	case t.running:
		t.again = true
	default:
		t.running = true
		t.work.Go(t.tell)
	}
}

func (t *topology) tell() {
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-time.After(settle):
		}
		t.mu.Lock()
		fns := slices.Clone(t.fns)
		t.again = false
		t.mu.Unlock()
		for _, fn := range fns {
			fn()
		}
		t.mu.Lock()
		if !t.again {
			t.running = false
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()
	}
}

func (t *topology) close() {
	t.mu.Lock() // after it no goroutine is added
	t.stop()
	t.mu.Unlock()
	t.work.Wait()
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
