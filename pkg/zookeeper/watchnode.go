package zookeeper

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/go-zookeeper/zk"
)

// verifyInterval is how often a watched node is read again although no watch
// fired: a client restores its watches after a reconnect by a zxid, and one
// that is lost that way would be silent for ever.
const verifyInterval = 30 * time.Second

// WatchNode calls fn with a node's data and version at first and after each
// change, until ctx ends; exists is false when there is no such node. Changes
// in quick succession may be seen as one. While ZooKeeper is away fn is not
// called: what it was told last stands. It returns at once; fn is called from
// one goroutine and must not keep it for long. The data are fn's to keep.
func (s *Session) WatchNode(ctx context.Context, path string, fn func(data []byte, exists bool, version int32)) {
	full := s.abs(path)
	told := false
	var last nodeState
	s.background(ctx, func(ctx context.Context) {
		s.follow(ctx, full, func(ctx context.Context, l *link) error {
			now, events, err := l.observe(ctx, full)
			if err != nil {
				return err
			}
			if (!told || !now.same(last)) && ctx.Err() == nil {
				told, last = true, now
				fn(bytes.Clone(now.data), now.exists, now.version)
			}
			l.quiet(ctx, events, nil, func() bool {
				stat, exists, err := l.look(ctx, full)
				return err == nil && exists == now.exists && (!exists || stat.Mzxid == now.mzxid)
			})
			return nil
		})
	})
}

type nodeState struct {
	data    []byte
	exists  bool
	version int32
	mzxid   int64
}

func (n nodeState) same(o nodeState) bool {
	return n.exists == o.exists && n.mzxid == o.mzxid
}

// follow repeats one round of a watch loop until ctx ends.
func (s *Session) follow(ctx context.Context, full string, round func(context.Context, *link) error) {
	var pause backoff
	for ctx.Err() == nil {
		l, err := s.live(ctx)
		if err != nil {
			return
		}
		err = round(ctx, l)
		switch {
		case err == nil:
			pause.reset()
			continue
		case ctx.Err() == nil && answered(err):
			s.complain("cannot watch a node", full, err)
		}
		if pause.wait(ctx, nil) != nil {
			return
		}
	}
}

// observe reads a node, there or not, and watches it.
func (l *link) observe(ctx context.Context, full string) (nodeState, <-chan zk.Event, error) {
	for {
		node, err := retry(ctx, l, watchNode(full))
		if err == nil {
			return nodeState{data: node.data, exists: true, version: node.stat.Version, mzxid: node.stat.Mzxid}, node.events, nil
		}
		if !errors.Is(err, zk.ErrNoNode) {
			return nodeState{}, nil, err
		}
		exists, events, err := l.awaitCreation(ctx, full)
		if err != nil {
			return nodeState{}, nil, err
		}
		if !exists {
			return nodeState{}, events, nil
		}
	}
}

// awaitCreation watches for a node that is not there.
func (l *link) awaitCreation(ctx context.Context, full string) (bool, <-chan zk.Event, error) {
	type answer struct {
		exists bool
		events <-chan zk.Event
	}
	a, err := retry(ctx, l, func(conn *zk.Conn) (answer, error) {
		exists, _, events, err := conn.ExistsW(full)
		return answer{exists, events}, err
	})
	return a.exists, a.events, err
}

func (l *link) look(ctx context.Context, full string) (zk.Stat, bool, error) {
	node, err := retry(ctx, l, func(conn *zk.Conn) (watched, error) {
		exists, stat, err := conn.Exists(full)
		if err != nil || !exists {
			return watched{}, err
		}
		return watched{stat: *stat}, nil
	})
	return node.stat, node.stat.Czxid != 0, err
}

// wake says why quiet returned.
type wake int

const (
	watchFired wake = iota // the events' watch
	childFired             // one of the other watches
	unnoticed              // something changed and no watch said so
	finished               // the session is over or ctx has ended
)

// quiet returns when there is something to read again: a watch fired, or
// unchanged, which is asked after each reconnect and now and then, says so.
// fired may be nil.
func (l *link) quiet(ctx context.Context, events <-chan zk.Event, fired <-chan string, unchanged func() bool) (string, wake) {
	timer := time.NewTimer(verifyInterval/2 + rand.N(verifyInterval))
	defer timer.Stop()
	_, changed := l.s.Changed()
	for {
		select {
		case <-events:
			return "", watchFired
		case name := <-fired:
			return name, childFired
		case <-l.gone:
			return "", finished
		case <-ctx.Done():
			return "", finished
		case <-changed:
			if l.await(ctx) != nil {
				return "", finished
			}
			_, changed = l.s.Changed()
		case <-timer.C:
			timer.Reset(verifyInterval/2 + rand.N(verifyInterval))
		}
		if !unchanged() {
			return "", unnoticed
		}
	}
}
