package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"eshop/pkg/tracing"
)

// Ticket is a place in the queue of a lock.
type Ticket struct {
	link  *link
	name  string
	guid  string
	began time.Time
	token int64    // set before the ticket is handed out
	queue []string // children of the stripe as of Enqueue; nil once used

	lost     context.Context // ends, with ErrLost as its cause, when the ticket is lost
	endLost  context.CancelCauseFunc
	released chan struct{}

	mu   sync.Mutex
	own  place // the node, once it is known
	over bool  // released or lost
}

func newTicket(l *link, name string, began time.Time) *Ticket {
	t := &Ticket{link: l, name: name, guid: newGUID(), began: began, released: make(chan struct{})}
	t.lost, t.endLost = context.WithCancelCause(context.Background())
	return t
}

// Name returns the lock's name.
func (t *Ticket) Name() string { return t.name }

// Token returns the fencing token: the zxid of the node's creation. It is
// unique in the ensemble and above every token handed out before Enqueue was
// called. It stays usable after the ticket is lost or released.
func (t *Ticket) Token() int64 { return t.token }

// Lost is closed when the lock, or the place in the queue, is lost: the session
// has expired or ended, the node is gone, or 2/3 of the session timeout have
// passed by the own clock since the last answered heartbeat was sent. A
// disconnect alone is no loss. After Release it stays as it is.
func (t *Ticket) Lost() <-chan struct{} { return t.lost.Done() }

// Context returns a child of parent that is cancelled, with ErrLost as its
// cause, when the ticket is lost.
func (t *Ticket) Context(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	stop := context.AfterFunc(t.lost, func() { cancel(context.Cause(t.lost)) })
	if t.lost.Err() != nil {
		cancel(context.Cause(t.lost)) // AfterFunc runs beside us; a dead ticket's context is born dead
	}
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// Wait returns nil once the lock is held. It watches the direct predecessor
// only. Any error releases the ticket: ErrLost, ErrReleased, the end of ctx, or
// a refusal by the servers. It is for one caller.
func (t *Ticket) Wait(ctx context.Context) error {
	ctx, span := tracing.Start(ctx, tracing.Client, "zookeeper lock")
	defer span.End()
	err := t.wait(ctx)
	if span.On() {
		span.Set(tracing.ZooKeeper("wait", t.name)...)
		span.Fail(err)
	}
	if err != nil {
		t.Release()
		return fmt.Errorf("wait for the lock %q: %w", t.name, err)
	}
	t.link.s.metrics.lockWait.Observe(time.Since(t.began).Seconds())
	return nil
}

func (t *Ticket) wait(parent context.Context) error {
	ctx, cancel := t.Context(parent)
	defer cancel()
	queue := t.queue
	t.queue = nil
	for {
		if queue == nil {
			var err error
			if queue, err = t.list(ctx); err != nil {
				return err
			}
		}
		own, err := t.held()
		if err != nil {
			return err
		}
		previous, exists, listed := predecessor(queue, own)
		queue = nil
		switch {
		case !listed:
			t.lose("its node is gone") // nothing new if it was released meanwhile
			_, err := t.held()
			return err
		case !exists:
			_, err := t.held()
			return err
		}
		if err := t.outlast(ctx, previous); err != nil {
			return err
		}
	}
}

// list returns the children of the lock's stripe. They hold every node created
// before the own one: a server answers a session's read only after it has
// applied that session's own create, and so all earlier ones.
func (t *Ticket) list(ctx context.Context) ([]string, error) {
	children, err := retry(ctx, t.link, func(conn *zk.Conn) ([]string, error) {
		children, _, err := conn.Children(t.link.s.abs(stripe(t.name)))
		return children, err
	})
	if err != nil && !errors.Is(err, zk.ErrNoNode) {
		return nil, t.explain(ctx, fmt.Errorf("list the queue: %w", err))
	}
	if children == nil {
		children = []string{}
	}
	return children, nil
}

// outlast returns nil when the node of another place is gone.
func (t *Ticket) outlast(ctx context.Context, previous place) error {
	for {
		state, err := retry(ctx, t.link, watchNode(t.link.s.abs(stripe(t.name))+"/"+previous.node))
		if errors.Is(err, zk.ErrNoNode) {
			return nil
		}
		if err != nil {
			return t.explain(ctx, fmt.Errorf("watch the predecessor: %w", err))
		}
		select {
		case ev := <-state.events:
			if ev.Type == zk.EventNodeDeleted {
				return nil
			}
		case <-t.released:
			_, err := t.held() // lost, or released
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// explain prefers the reason why the context ended to what that did to a
// request.
func (t *Ticket) explain(ctx context.Context, err error) error {
	if t.lost.Err() != nil {
		return context.Cause(t.lost)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, errGone) {
		return ErrLost
	}
	return err
}

// held returns the own place, or why there is none any more.
func (t *Ticket) held() (place, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.lost.Err() != nil:
		return place{}, context.Cause(t.lost)
	case t.over:
		return place{}, ErrReleased
	}
	return t.own, nil
}

func (t *Ticket) path() string {
	return t.link.s.abs(stripe(t.name)) + "/" + t.own.node
}

// adopt takes the created node over; false when the ticket was lost meanwhile,
// the node is being removed then.
func (t *Ticket) adopt(own place) bool {
	t.mu.Lock()
	t.own = own
	over := t.over
	t.mu.Unlock()
	if over {
		t.link.remove(t.path(), func() { <-t.link.nodes })
	}
	return !over
}

// Release gives the place up. It returns at once; the node is removed in the
// background, however long that takes, unless the session ends before. Further
// calls do nothing.
func (t *Ticket) Release() { t.finish(nil) }

// lose ends the ticket against its holder's will.
func (t *Ticket) lose(reason string) { t.finish(&reason) }

func (t *Ticket) finish(lost *string) {
	t.mu.Lock()
	if t.over {
		t.mu.Unlock()
		return
	}
	t.over = true
	known := t.own.node != ""
	if lost != nil {
		// Before the node is removed: the holder hears of it first.
		t.endLost(fmt.Errorf("%w: %s", ErrLost, *lost))
	}
	close(t.released)
	t.mu.Unlock()

	t.link.lease.unregister(t)
	if lost != nil {
		t.link.s.metrics.losses.Inc()
	}
	if known {
		t.link.remove(t.path(), func() { <-t.link.nodes })
	}
}

// watchOwn loses the ticket when its node is gone.
func (t *Ticket) watchOwn(events <-chan zk.Event) {
	for {
		select {
		case ev := <-events:
			if ev.Type == zk.EventNodeDeleted {
				t.lose("its node was removed")
				return
			}
		case <-t.released:
			return
		}
		ctx, cancel := t.Context(context.Background())
		state, err := retry(ctx, t.link, watchNode(t.path()))
		cancel()
		switch {
		case errors.Is(err, zk.ErrNoNode):
			t.lose("its node was removed")
			return
		case err != nil:
			return // the session is over, or the ticket
		}
		events = state.events
	}
}
