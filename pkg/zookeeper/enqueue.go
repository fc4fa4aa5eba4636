package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-zookeeper/zk"

	"eshop/pkg/tracing"
)

// Enqueue joins the queue of the lock called name (any text) and returns the
// place in it. The place's token is valid at once: work that only needs to be
// ordered need not wait for the lock. The caller must Release the ticket.
//
// While ZooKeeper is away it waits until ctx ends. No error leaves a node
// behind under a live session: where the fate of the node is not known it is
// looked for, by its GUID, and removed in the background.
func (s *Session) Enqueue(ctx context.Context, name string) (*Ticket, error) {
	ctx, span := tracing.Start(ctx, tracing.Client, "zookeeper token")
	defer span.End()
	t, err := s.enqueue(ctx, name)
	if span.On() {
		span.Set(tracing.ZooKeeper("create", name)...)
		if span.Fail(err); err == nil {
			span.Set(tracing.Token(t.token))
		}
	}
	return t, err
}

func (s *Session) enqueue(ctx context.Context, name string) (*Ticket, error) {
	if name == "" {
		return nil, errors.New("enqueue for a lock: its name is empty")
	}
	began := time.Now()
	var pause backoff
	for {
		l, err := s.live(ctx)
		if err != nil {
			return nil, fmt.Errorf("enqueue for the lock %q: %w", name, err)
		}
		t, err := l.enqueue(ctx, name, began)
		if err == nil {
			return t, nil
		}
		// The session, the lease or the node was lost before the caller had
		// anything to lose: begin anew, with another node.
		if ctx.Err() != nil || !errors.Is(err, errGone) && !errors.Is(err, ErrLost) {
			return nil, fmt.Errorf("enqueue for the lock %q: %w", name, err)
		}
		if err := pause.wait(ctx, nil); err != nil {
			return nil, fmt.Errorf("enqueue for the lock %q: %w", name, err)
		}
	}
}

func (l *link) enqueue(ctx context.Context, name string, began time.Time) (*Ticket, error) {
	select {
	case l.nodes <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for one of %d lock nodes: %w", cap(l.nodes), context.Cause(ctx))
	case <-l.gone:
		return nil, errGone
	}
	t := newTicket(l, name, began)
	// Registered before the request is sent: a lease that lapses while it is
	// under way costs the ticket.
	if !l.lease.register(t) {
		<-l.nodes
		return nil, ErrLost
	}
	own, err := t.create(ctx)
	if err != nil {
		l.lease.unregister(t) // create has seen to the node and its place
		return nil, err
	}
	if !t.adopt(own) {
		return nil, ErrLost
	}
	if err := t.inspect(ctx); err != nil {
		t.Release()
		return nil, err
	}
	return t, nil
}

// create makes the lock node and returns it. On an error it has arranged that
// the node, if there is or will be one, goes away, and that its place in
// l.nodes is given back then.
func (t *Ticket) create(ctx context.Context) (place, error) {
	l := t.link
	free := func() { <-l.nodes }
	parent := l.s.abs(stripe(t.name))
	prefix := parent + "/" + placePrefix(t.name, t.guid)
	request := func(conn *zk.Conn) (string, error) {
		return conn.Create(prefix, nil, zk.FlagEphemeral|zk.FlagSequence, l.s.acl)
	}
	late := func(path string, err error) {
		switch {
		case err == nil:
			l.remove(path, free)
		case answered(err):
			free()
		default:
			l.sweep(parent, t.guid, free)
		}
	}
	for {
		path, err := call(ctx, l, request, late)
		switch {
		case err == nil:
			own, ok := parsePlace(path[len(parent)+1:])
			if !ok {
				l.remove(path, free)
				return place{}, fmt.Errorf("create a lock node: the server named it %q", path)
			}
			return own, nil
		case abandoned(err):
			return place{}, fmt.Errorf("create a lock node: %w", err)
		case errors.Is(err, zk.ErrNoNode):
			// The stripe is made when it is first needed, and again if
			// someone removed it.
			if err := l.ensure(ctx, parent); err != nil {
				free()
				return place{}, err
			}
			continue
		case answered(err), unsent(err):
			free()
			return place{}, fmt.Errorf("create a lock node: %w", err)
		}
		// The connection broke before the answer. The node may be there.
		own, found, err := t.recover(ctx, parent)
		switch {
		case err != nil:
			l.sweep(parent, t.guid, free)
			return place{}, fmt.Errorf("look for a lock node after a lost connection: %w", err)
		case found:
			return own, nil
		}
	}
}

// recover looks for the node of a create whose answer was lost. Once this
// session is attached to a server again, the old connection's requests are
// refused by the leader, and the sync before the list waits for those that
// were accepted before: a node that is not listed will never be there.
func (t *Ticket) recover(ctx context.Context, parent string) (place, bool, error) {
	l := t.link
	if err := l.await(ctx); err != nil {
		return place{}, false, err
	}
	found, err := l.findGUID(ctx, parent, t.guid)
	if err != nil || len(found) == 0 {
		return place{}, false, err
	}
	for _, extra := range found[1:] {
		l.remove(parent+"/"+extra.node, func() {})
	}
	return found[0], true, nil
}

// findGUID lists the lock nodes that carry the GUID, as of now.
func (l *link) findGUID(ctx context.Context, parent, guid string) ([]place, error) {
	children, err := retry(ctx, l, func(conn *zk.Conn) ([]string, error) {
		if _, err := conn.Sync(parent); err != nil {
			return nil, err
		}
		children, _, err := conn.Children(parent)
		return children, err
	})
	if errors.Is(err, zk.ErrNoNode) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return withGUID(children, guid), nil
}

// inspect reads, in one round trip, the node's czxid with a watch on the node
// itself, and the queue.
func (t *Ticket) inspect(ctx context.Context) error {
	l := t.link
	parent := l.s.abs(stripe(t.name))
	ctx, cancel := t.Context(ctx)
	defer cancel()
	listed := make(chan []string, 1)
	listing := l.start(func() {
		children, err := call(ctx, l, func(conn *zk.Conn) ([]string, error) {
			children, _, err := conn.Children(parent)
			return children, err
		}, nil)
		if err != nil {
			children = nil // Wait lists again
		}
		listed <- children
	})
	if !listing {
		return errGone
	}
	own, err := retry(ctx, l, watchNode(t.path()))
	switch {
	case errors.Is(err, zk.ErrNoNode):
		return fmt.Errorf("read the lock node: someone removed it: %w", ErrLost)
	case err != nil:
		return fmt.Errorf("read the lock node: %w", err)
	}
	t.token = own.stat.Czxid
	t.queue = <-listed
	if !l.start(func() { t.watchOwn(own.events) }) {
		return errGone
	}
	return nil
}

// watched is a node's state and the watch set with it.
type watched struct {
	data   []byte
	stat   zk.Stat
	events <-chan zk.Event
}

// watchNode reads a node and watches it. Unlike an exists request it leaves no
// watch behind on a node that is not there.
func watchNode(path string) func(*zk.Conn) (watched, error) {
	return func(conn *zk.Conn) (watched, error) {
		data, stat, events, err := conn.GetW(path)
		if err != nil {
			return watched{}, err
		}
		return watched{data: data, stat: *stat, events: events}, nil
	}
}
