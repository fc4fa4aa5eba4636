package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// ServerReport is what one server says of itself in answer to the word srvr.
type ServerReport struct {
	Addr string
	// Err says why the server did not answer at all.
	Err error
	// Mode is "leader", "follower", "observer" or "standalone"; empty if it did not say.
	Mode    string
	Version string
	// Refused: it executes no srvr, because 4lw.commands.whitelist leaves it out.
	Refused bool
	// Idle: it is up and serves nobody, for it belongs to no majority.
	Idle bool
}

const (
	wordLimit = 2 * time.Second // one four-letter word, the connection included
	maxWord   = 64 << 10
)

// DescribeServers asks every server of cfg by itself, without a session, in the
// order of cfg.
func DescribeServers(ctx context.Context, cfg Config) ([]ServerReport, error) {
	cfg, err := cfg.filled()
	if err != nil {
		return nil, fmt.Errorf("configure the ZooKeeper session: %w", err)
	}
	reports := make([]ServerReport, len(cfg.Servers))
	var wg sync.WaitGroup
	for i, addr := range cfg.Servers {
		wg.Go(func() { reports[i] = describeServer(ctx, addr) })
	}
	wg.Wait()
	return reports, nil
}

func describeServer(ctx context.Context, addr string) ServerReport {
	r := ServerReport{Addr: addr}
	answer, err := word(ctx, addr, "srvr")
	switch {
	case err != nil:
		r.Err = fmt.Errorf("ask the ZooKeeper server %s: %w", addr, err)
		return r
	case strings.Contains(answer, "not in the whitelist"):
		r.Refused = true
	case strings.Contains(answer, "not currently serving"):
		r.Idle = true
	}
	for line := range strings.Lines(answer) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "Mode":
			r.Mode = strings.TrimSpace(value)
		case "Zookeeper version":
			r.Version, _, _ = strings.Cut(strings.TrimSpace(value), ",")
			r.Version, _, _ = strings.Cut(r.Version, "-")
		}
	}
	if r.Mode == "" && !r.Refused && !r.Idle {
		r.Err = fmt.Errorf("ask the ZooKeeper server %s: it answered srvr with %.60q", addr, answer)
	}
	return r
}

// word sends a four-letter word and reads the answer, after which the server
// closes the connection.
func word(ctx context.Context, addr, text string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, wordLimit)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err := io.WriteString(conn, text); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(io.LimitReader(conn, maxWord))
	if err != nil && len(answer) == 0 {
		if ctx.Err() != nil {
			err = fmt.Errorf("no answer to %s within %v", text, wordLimit)
		}
		return "", err
	}
	return string(answer), nil
}

// Granted returns the session timeout that the servers gave instead of the one
// asked for.
func (s *Session) Granted(ctx context.Context) (time.Duration, error) {
	l, err := s.live(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the session timeout: %w", err)
	}
	return l.lease.sessionTimeout(), nil
}

// Voters returns how many servers decide together, by the ensemble's own word; 0
// if it does not tell: a server that stands alone, or an embedded one.
func (s *Session) Voters(ctx context.Context) (int, error) {
	text, err := onAny(ctx, s, func(conn *zk.Conn) (string, error) {
		data, _, err := conn.Get("/zookeeper/config")
		return string(data), err
	})
	switch {
	case errors.Is(err, zk.ErrNoNode), errors.Is(err, zk.ErrNoAuth):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("read the members of the ensemble: %w", err)
	}
	voters := 0
	for line := range strings.Lines(text) {
		name, about, _ := strings.Cut(line, "=")
		if number, ok := strings.CutPrefix(name, "server."); ok && !strings.Contains(about, "observer") {
			if _, err := strconv.Atoi(number); err == nil {
				voters++
			}
		}
	}
	return voters, nil
}

// Clock tells what the leader's clock showed at some time between two readings
// of the clock now: by the time of creation of an ephemeral node under the root,
// which is removed again. ErrNoNode when there is no root.
func (s *Session) Clock(ctx context.Context, now func() time.Time) (asked, told, answered time.Time, err error) {
	fail := func(err error) (time.Time, time.Time, time.Time, error) {
		return time.Time{}, time.Time{}, time.Time{}, fmt.Errorf("read the clock of ZooKeeper's leader: %w", err)
	}
	l, err := s.live(ctx)
	if err != nil {
		return fail(err)
	}
	node := s.abs("doctor-" + newGUID())
	asked = now()
	// An answer that comes after ctx has ended finds nobody who waits for it.
	_, err = call(ctx, l, func(conn *zk.Conn) (string, error) {
		return conn.Create(node, nil, zk.FlagEphemeral, s.acl)
	}, func(string, error) { l.remove(node, func() {}) })
	answered = now()
	if err != nil {
		return fail(err)
	}
	stat, err := call(ctx, l, func(conn *zk.Conn) (zk.Stat, error) {
		_, stat, err := conn.Get(node)
		if err != nil {
			return zk.Stat{}, err
		}
		return *stat, nil
	}, nil)
	if gone := s.Delete(ctx, node[len(s.cfg.Root):], -1); err == nil {
		err = gone // it would go with the session, too
	}
	if err != nil {
		return fail(err)
	}
	return asked, time.UnixMilli(stat.Ctime), answered, nil
}

// NodeSize is the weight of one node: a server refuses, and a client gives up on,
// more than a mebibyte of either.
type NodeSize struct {
	Path  string // absolute
	Bytes int    // of its data
	List  int    // bytes that the names of its children take in one answer
}

// Sizes lists the nodes under the root, the root first, at most max of them; more
// says that there are others. Lock nodes have no data and are not visited.
func (s *Session) Sizes(ctx context.Context, max int) (sizes []NodeSize, more bool, err error) {
	queue := []string{""}
	for len(queue) > 0 && len(sizes) < max {
		path := queue[0]
		queue = queue[1:]
		data, _, err := s.Get(ctx, path)
		if errors.Is(err, ErrNoNode) && path != "" {
			continue // gone since its parent was read
		}
		if err != nil {
			return sizes, true, err
		}
		children, err := s.Children(ctx, path)
		if errors.Is(err, ErrNoNode) {
			continue
		}
		if err != nil {
			return sizes, true, err
		}
		size := NodeSize{Path: s.abs(path), Bytes: len(data)}
		for _, child := range children {
			size.List += 4 + len(child)
		}
		sizes = append(sizes, size)
		if strings.HasPrefix(path, "locks/") {
			continue
		}
		for _, child := range children {
			queue = append(queue, strings.TrimPrefix(path+"/"+child, "/"))
		}
	}
	return sizes, len(queue) > 0, nil
}

// LockPath returns the node, relative to the root, under which the lock of this
// name has its nodes.
func LockPath(name string) string { return stripe(name) }
