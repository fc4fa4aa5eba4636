package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/zookeeper"
)

// memoryNodes are nodes in memory. Each call takes a while; a write may lose its
// answer, before or after it took effect.
type memoryNodes struct {
	mu    sync.Mutex
	zxid  int64
	nodes map[string]memoryNode
	slow  func() time.Duration // nil: none
	lost  func() bool          // nil: never
	log   []string             // every write that took effect: path and data
}

type memoryNode struct {
	data    []byte
	version int32
}

func newMemoryNodes() *memoryNodes { return &memoryNodes{nodes: map[string]memoryNode{}} }

func (m *memoryNodes) wait() {
	if m.slow != nil {
		time.Sleep(m.slow())
	}
}

func (m *memoryNodes) Get(_ context.Context, path string) ([]byte, int32, error) {
	m.wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	n, ok := m.nodes[path]
	if !ok {
		return nil, 0, zookeeper.ErrNoNode
	}
	return n.data, n.version, nil
}

func (m *memoryNodes) Create(ctx context.Context, path string, data []byte) error {
	return m.write(ctx, path, func(n memoryNode, exists bool) (memoryNode, error) {
		if exists {
			return n, zookeeper.ErrNodeExists
		}
		return memoryNode{data: data}, nil
	})
}

func (m *memoryNodes) Set(ctx context.Context, path string, data []byte, version int32) (int32, error) {
	return version + 1, m.write(ctx, path, func(n memoryNode, exists bool) (memoryNode, error) {
		switch {
		case !exists:
			return n, zookeeper.ErrNoNode
		case n.version != version:
			return n, zookeeper.ErrBadVersion
		}
		return memoryNode{data, version + 1}, nil
	})
}

// write may be given up by its caller after it took effect.
func (m *memoryNodes) write(ctx context.Context, path string, do func(memoryNode, bool) (memoryNode, error)) error {
	m.wait()
	err := m.apply(path, do)
	m.wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (m *memoryNodes) apply(path string, do func(memoryNode, bool) (memoryNode, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	lost := m.lost != nil && m.lost()
	if lost && rand.IntN(2) == 0 {
		return zookeeper.ErrUnknownOutcome
	}
	n, exists := m.nodes[path]
	n, err := do(n, exists)
	if err != nil {
		return err
	}
	m.zxid++
	m.nodes[path] = n
	m.log = append(m.log, path+" "+string(n.data))
	if lost {
		return zookeeper.ErrUnknownOutcome
	}
	return nil
}

func (m *memoryNodes) Token(context.Context) (int64, error) {
	m.wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.zxid++
	return m.zxid, nil
}

// TestVersionedNeverUndoes: however the writes of several processes and lost
// answers interleave, a write that is reported as done stands on the data its
// writer had read, and every other one says that it was overtaken.
func TestVersionedNeverUndoes(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			dice := rand.New(rand.NewPCG(seed, 1))
			var mu sync.Mutex
			roll := func(n int) int { mu.Lock(); defer mu.Unlock(); return dice.IntN(n) }
			m := newMemoryNodes()
			m.slow = func() time.Duration { return time.Duration(roll(1000)) * time.Microsecond }
			m.lost = func() bool { return roll(5) == 0 }
			var all sync.WaitGroup
			var done [4]int
			for writer := range done {
				all.Go(func() {
					n := newVersioned(m, "n")
					for step := range 20 {
						if roll(3) == 0 || step == 0 {
							if err := n.read(t.Context()); err != nil {
								t.Error(err)
							}
						}
						sum, _ := strconv.Atoi(strings.Split(string(n.data)+" ", " ")[0])
						err := n.write(t.Context(), fmt.Appendf(nil, "%d by %d at %d", sum+1, writer, step))
						switch {
						case err == nil:
							done[writer]++
						case !errors.Is(err, errOvertaken):
							t.Errorf("writer %d: %v", writer, err)
						}
					}
				})
			}
			all.Wait()
			total := 0
			for _, n := range done {
				total += n
			}
			for i, line := range m.log {
				if !strings.HasPrefix(line, fmt.Sprintf("n %d by", i+1)) {
					t.Fatalf("seed %d: write %d was %q: it stands on other data than were there", seed, i+1, line)
				}
			}
			// An overtaken writer may have written before that, with the answer lost.
			if total > len(m.log) {
				t.Errorf("seed %d: %d writes are said to be done, %d were", seed, total, len(m.log))
			}
		})
	}
}
