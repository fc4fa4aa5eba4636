package zookeeper

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/go-zookeeper/zk"
)

// WatchChildren calls fn with the children of a node and their data at first
// and after each change of either, until ctx ends. A node that does not exist
// counts as one without children. While ZooKeeper is away fn is not called:
// what it was told last stands; after an outage it is called only if something
// changed. It returns at once; fn is called from one goroutine and must not
// keep it for long. The map is fn's to keep.
func (s *Session) WatchChildren(ctx context.Context, path string, fn func(map[string][]byte)) {
	w := &childrenWatch{s: s, full: s.abs(path), fn: fn}
	s.background(ctx, func(ctx context.Context) { s.follow(ctx, w.full, w.round) })
}

type childrenWatch struct {
	s    *Session
	full string
	fn   func(map[string][]byte)
	last map[string][]byte // what fn was told, nil before the first time
}

// child is a node read with a watch that has not fired yet.
type child struct {
	data  []byte
	mzxid int64
}

type listing struct {
	names  []string
	pzxid  int64
	events <-chan zk.Event
}

// round follows the children during one session. It returns when that is over,
// when a change was found that no watch told of, or on an error; all is read
// anew then.
func (w *childrenWatch) round(ctx context.Context, l *link) error {
	var forwarders sync.WaitGroup
	defer forwarders.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	known := make(map[string]child)
	fired := make(chan string)
	for {
		list, err := l.list(ctx, w.full)
		if err != nil {
			return err
		}
		maps.DeleteFunc(known, func(name string, _ child) bool { return !slices.Contains(list.names, name) })
		for relist := false; !relist; {
			if err := w.read(ctx, l, list.names, known, fired, &forwarders); err != nil {
				return err
			}
			w.tell(ctx, known)
			name, why := l.quiet(ctx, list.events, fired, func() bool { return w.unchanged(ctx, l, list, known) })
			switch why {
			case watchFired:
				relist = true
			case childFired:
				delete(known, name) // read again, the list is still good
			default:
				return nil
			}
		}
	}
}

// list reads the names of a node's children, there or not, and watches them.
func (l *link) list(ctx context.Context, full string) (listing, error) {
	for {
		list, err := retry(ctx, l, func(conn *zk.Conn) (listing, error) {
			names, stat, events, err := conn.ChildrenW(full)
			if err != nil {
				return listing{}, err
			}
			return listing{names, stat.Pzxid, events}, nil
		})
		if !errors.Is(err, zk.ErrNoNode) {
			return list, err
		}
		exists, events, err := l.awaitCreation(ctx, full)
		if err != nil {
			return listing{}, err
		}
		if !exists {
			return listing{events: events}, nil
		}
	}
}

// read adds to known the children that are missing there, all at a time, each
// with a watch whose firing is sent to fired.
func (w *childrenWatch) read(ctx context.Context, l *link, names []string, known map[string]child, fired chan<- string, forwarders *sync.WaitGroup) error {
	type reply struct {
		name string
		node watched
		err  error
	}
	replies := make(chan reply, len(names))
	asked := 0
	for _, name := range names {
		if _, ok := known[name]; ok {
			continue
		}
		asked++
		go func() {
			node, err := retry(ctx, l, watchNode(w.full+"/"+name))
			replies <- reply{name, node, err}
		}()
	}
	var failed error
	for range asked {
		r := <-replies
		switch {
		case errors.Is(r.err, zk.ErrNoNode): // gone since the list was made, which will be made again
		case r.err != nil:
			failed = r.err
		default:
			known[r.name] = child{r.node.data, r.node.stat.Mzxid}
			forwarders.Go(func() { forward(ctx, r.name, r.node.events, fired) })
		}
	}
	return failed
}

// forward sends the name when the watch fires.
func forward(ctx context.Context, name string, events <-chan zk.Event, fired chan<- string) {
	select {
	case <-events:
	case <-ctx.Done():
		return
	}
	select {
	case fired <- name:
	case <-ctx.Done():
	}
}

// tell calls fn if it has not been told of exactly these children.
func (w *childrenWatch) tell(ctx context.Context, known map[string]child) {
	if ctx.Err() != nil {
		return
	}
	now := make(map[string][]byte, len(known))
	for name, c := range known {
		now[name] = c.data
	}
	if w.last != nil && maps.EqualFunc(w.last, now, bytes.Equal) {
		return
	}
	w.last = now
	given := make(map[string][]byte, len(now))
	for name, data := range now {
		given[name] = bytes.Clone(data)
	}
	w.fn(given)
}

// unchanged compares what is there with what was read, without setting a watch.
func (w *childrenWatch) unchanged(ctx context.Context, l *link, list listing, known map[string]child) bool {
	stat, exists, err := l.look(ctx, w.full)
	if err != nil || exists != (list.pzxid != 0) || exists && stat.Pzxid != list.pzxid {
		return false
	}
	for name, c := range known {
		stat, _, err := l.look(ctx, w.full+"/"+name)
		if err != nil || stat.Mzxid != c.mzxid {
			return false
		}
	}
	return true
}
