// Package keep is the lab keeper: a small process that owns every server and command the tests start. Test binaries ask it
// over a Unix socket. Because the keeper and not the test binary is the parent, whatever happens to a test binary — panic,
// time limit, kill -9 — shows as a closed connection, and all that the connection owned is ended and its files removed.
package keep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"eshop/pkg/lab/internal/flock"
	"eshop/pkg/lab/internal/server"
	"eshop/pkg/lab/internal/wire"
)

// Config of a keeper.
type Config struct {
	Dir   string        // shared: where the state file goes; empty: a private keeper of one test binary
	Owner int           // the keeper ends when this process has ended; 0: no owner
	Idle  time.Duration // the keeper ends when nobody has been connected for so long
}

// StateFile is the name of the state file in a shared directory.
const StateFile = "state.json"

const rootPattern = "eshop-lab-"

type keeper struct {
	cfg     Config
	root    string // sockets, data and logs; removed at the end
	spawner *server.Spawner
	ctx     context.Context
	quit    context.CancelFunc

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	since  time.Time // when the last connection went
	shared map[string]*shared
}

// shared is the one set of servers of a kind that all test binaries use.
type shared struct {
	mu    sync.Mutex // held while the servers start: others wait for the result
	group *server.Group
}

// Run serves until ctx ends, the owner ends, nobody is connected for the idle time, or somebody asks to quit; then it ends
// all servers and removes their files. It writes one line to ready, the path of its socket, once it accepts connections.
func Run(ctx context.Context, cfg Config, ready io.WriteCloser) error {
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	root, lock, err := makeRoot(cfg.Dir)
	if err != nil {
		return err
	}
	defer func() {
		_ = os.RemoveAll(root)
		lock.Close()
	}()
	k := &keeper{
		cfg: cfg, root: root, spawner: server.NewSpawner(), ctx: ctx, quit: quit,
		conns: map[net.Conn]struct{}{}, since: time.Now(), shared: map[string]*shared{},
	}
	socket := filepath.Join(root, "socket")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("listen for test binaries: %w", err)
	}
	if cfg.Dir != "" {
		if err := writeState(cfg.Dir, wire.State{Version: wire.Version, Socket: socket, Pid: os.Getpid()}); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(ready, socket); err != nil {
		return fmt.Errorf("tell the socket to the test binary: %w", err)
	}
	if err := ready.Close(); err != nil {
		return fmt.Errorf("tell the socket to the test binary: %w", err)
	}
	var all sync.WaitGroup
	all.Go(k.watch)
	all.Go(func() {
		<-ctx.Done()
		listener.Close()
		k.dropAll()
	})
	for {
		c, err := listener.Accept()
		if err != nil {
			break
		}
		if !k.enter(c) {
			c.Close()
			break
		}
		all.Go(func() { k.serve(c) })
	}
	quit()
	all.Wait()
	for _, s := range k.shared {
		if s.group != nil {
			all.Go(s.group.Close)
		}
	}
	all.Wait()
	if cfg.Dir != "" {
		removeState(cfg.Dir)
	}
	return nil
}

// makeRoot makes the keeper's own directory and locks it; it removes those that killed keepers left behind. The path is
// kept short, for the socket's sake.
func makeRoot(dir string) (root string, lock *os.File, err error) {
	parent := os.TempDir()
	if dir != "" && len(dir) < 70 {
		parent = dir
	}
	old, err := filepath.Glob(filepath.Join(parent, rootPattern+"*"))
	if err != nil {
		return "", nil, fmt.Errorf("look for old directories: %w", err)
	}
	for _, o := range old {
		file := filepath.Join(o, "lock")
		if _, err := os.Stat(file); err != nil {
			continue
		}
		if l, err := flock.Try(file); err == nil {
			_ = os.RemoveAll(o) // a directory of somebody else's stays
			l.Close()
		}
	}
	// The directory gets its final name when it is locked: another keeper's search never meets it unlocked.
	unborn, err := os.MkdirTemp(parent, "new-"+rootPattern+"*")
	if err != nil {
		return "", nil, fmt.Errorf("make the keeper's directory: %w", err)
	}
	if lock, err = flock.Try(filepath.Join(unborn, "lock")); err != nil {
		return "", nil, fmt.Errorf("lock the keeper's directory: %w", err)
	}
	root = filepath.Join(parent, strings.TrimPrefix(filepath.Base(unborn), "new-"))
	if err := os.Rename(unborn, root); err != nil {
		return "", nil, fmt.Errorf("name the keeper's directory: %w", err)
	}
	return root, lock, nil
}

func writeState(dir string, s wire.State) error {
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode the keeper's state: %w", err)
	}
	next := filepath.Join(dir, StateFile+".new")
	if err := os.WriteFile(next, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the keeper's state: %w", err)
	}
	if err := os.Rename(next, filepath.Join(dir, StateFile)); err != nil {
		return fmt.Errorf("write the keeper's state: %w", err)
	}
	return nil
}

// ReadState reads the state file of a shared directory.
func ReadState(dir string) (wire.State, error) {
	var s wire.State
	text, err := os.ReadFile(filepath.Join(dir, StateFile))
	if err != nil {
		return s, fmt.Errorf("read the keeper's state: %w", err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("read the keeper's state: %w", err)
	}
	return s, nil
}

func removeState(dir string) {
	if s, err := ReadState(dir); err == nil && s.Pid == os.Getpid() {
		_ = os.Remove(filepath.Join(dir, StateFile))
	}
}

// watch ends the keeper when nobody needs it any more.
func (k *keeper) watch() {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-k.ctx.Done():
			return
		case <-tick.C:
		}
		if k.unneeded() {
			k.quit()
			return
		}
	}
}

func (k *keeper) unneeded() bool {
	if k.cfg.Owner != 0 && !alive(k.cfg.Owner) {
		return true
	}
	if k.cfg.Dir != "" {
		// The directory is the owner's: no state file, or another keeper's, means that this one is given up.
		if s, err := ReadState(k.cfg.Dir); errors.Is(err, os.ErrNotExist) || err == nil && s.Pid != os.Getpid() {
			return true
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.conns) == 0 && time.Since(k.since) > k.cfg.Idle
}

func alive(pid int) bool {
	_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	return err == nil
}

func (k *keeper) enter(c net.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ctx.Err() != nil {
		return false
	}
	k.conns[c] = struct{}{}
	return true
}

func (k *keeper) leave(c net.Conn) {
	c.Close()
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.conns, c)
	k.since = time.Now()
}

func (k *keeper) dropAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for c := range k.conns {
		c.Close()
	}
}
