package hotlist

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"eshop/pkg/zookeeper"
)

// Session is what this package asks of ZooKeeper; *zookeeper.Session has it.
type Session interface {
	Get(ctx context.Context, path string) (data []byte, version int32, err error)
	Set(ctx context.Context, path string, data []byte, version int32) (int32, error)
	Create(ctx context.Context, path string, data []byte) error
	Put(ctx context.Context, path string, data []byte) error
	Delete(ctx context.Context, path string, version int32) error
	Children(ctx context.Context, path string) ([]string, error)
	Token(ctx context.Context) (int64, error)
	WatchNode(ctx context.Context, path string, fn func(data []byte, exists bool, version int32))
	WatchChildren(ctx context.Context, path string, fn func(map[string][]byte))
}

// Deps are what a Client takes from its surroundings.
type Deps struct {
	Session Session
	// Log is told of nodes that cannot be read and of who pinned what; nil: nobody is.
	Log *slog.Logger
}

// The directories below the root, and the node of the rule.
const (
	hotDir   = "hot"
	topDir   = "top"
	pinDir   = "pin"
	banDir   = "ban"
	ruleNode = "rule"
)

// callLimit ends each call that reads or writes once, whatever its context
// allows: an election takes one to four seconds, what takes longer is an outage.
const callLimit = 10 * time.Second

// Client reads and writes the nodes. Its methods may be called from any
// goroutine. Those that read or write once return when it is done, when their
// context ends, or after 10 s; the Watch methods return when their context ends.
type Client struct {
	zk  Session
	log *slog.Logger

	hot  directory[Hot]
	top  directory[Top]
	pins directory[marked]
	bans directory[marked]
}

// New does no I/O.
func New(deps Deps) *Client {
	log := deps.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Client{
		zk:   deps.Session,
		log:  log,
		hot:  directory[Hot]{name: hotDir, log: log, parse: parseHot},
		top:  directory[Top]{name: topDir, log: log, parse: parseTop},
		pins: directory[marked]{name: pinDir, log: log, parse: parseMark},
		bans: directory[marked]{name: banDir, log: log, parse: parseMark},
	}
}

// limited gives one call its deadline.
func limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, callLimit, fmt.Errorf("no answer within %v: %w", callLimit, context.DeadlineExceeded))
}

// children lists a directory; one that is not there is empty.
func (c *Client) children(ctx context.Context, dir string) ([]string, error) {
	names, err := c.zk.Children(ctx, dir)
	if errors.Is(err, zookeeper.ErrNoNode) {
		return nil, nil
	}
	return names, err
}

// readAtOnce is how many nodes of a directory are asked for at a time.
const readAtOnce = 32

// nodes reads the children of a directory and their data. A child that goes
// meanwhile is left out.
func (c *Client) nodes(ctx context.Context, dir string) (map[string][]byte, error) {
	names, err := c.children(ctx, dir)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		found = make(map[string][]byte, len(names))
		next  = make(chan string)
	)
	for range min(readAtOnce, len(names)) {
		all.Go(func() {
			for name := range next {
				data, _, err := c.zk.Get(ctx, dir+"/"+name)
				switch {
				case err == nil:
					mu.Lock()
					found[name] = data
					mu.Unlock()
				case !errors.Is(err, zookeeper.ErrNoNode):
					cancel(err) // the first is kept; the others end with it
				}
			}
		})
	}
	for _, name := range names {
		next <- name
	}
	close(next)
	all.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return found, nil
}
