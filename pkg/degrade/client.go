package degrade

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"eshop/pkg/zookeeper"
)

// Session is what this package asks of ZooKeeper; *zookeeper.Session has it.
type Session interface {
	Get(ctx context.Context, path string) (data []byte, version int32, err error)
	Put(ctx context.Context, path string, data []byte) error
	Delete(ctx context.Context, path string, version int32) error
	Children(ctx context.Context, path string) ([]string, error)
	WatchChildren(ctx context.Context, path string, fn func(map[string][]byte))
}

// Deps are what a Client takes from its surroundings.
type Deps struct {
	Session Session
	// Log is told of nodes that cannot be read and of who set what; nil: nobody is.
	Log *slog.Logger
}

const dir = "degrade"

// callLimit ends each call, whatever its context allows: an election takes one
// to four seconds, what takes longer is an outage.
const callLimit = 10 * time.Second

// Client writes the nodes and follows them. Its methods may be called from any
// goroutine.
type Client struct {
	zk  Session
	log *slog.Logger
}

// New does no I/O.
func New(deps Deps) *Client {
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	return &Client{zk: deps.Session, log: deps.Log}
}

// ErrFull is wrapped by the error of a switch above MaxSwitches.
var ErrFull = errors.New("there are too many switches")

// Set makes a mode hold for a kind, or for Every one, from now on and for a time
// of MinFor to MaxFor. A switch of the same kind and mode is replaced.
func (c *Client) Set(ctx context.Context, kind string, mode Modes, length time.Duration, by string) (Switch, error) {
	now := time.Now().UnixMilli()
	s := Switch{Kind: kind, Mode: mode, By: by, Since: now, Until: now + length.Milliseconds()}
	if err := c.put(ctx, s); err != nil {
		return s, fmt.Errorf("set %v for the kind %s: %w", mode, kind, err)
	}
	c.log.Warn("degrade switch set", "kind", kind, "mode", mode.String(), "for", length, "by", by)
	return s, nil
}

func (c *Client) put(ctx context.Context, s Switch) error {
	ctx, cancel := limited(ctx)
	defer cancel()
	b, err := encode(s)
	if err != nil {
		return err
	}
	names, err := c.children(ctx)
	if err != nil {
		return err
	}
	if len(names) >= MaxSwitches && !slices.Contains(names, s.node()) {
		return fmt.Errorf("%w: at most %d are allowed", ErrFull, MaxSwitches)
	}
	return c.zk.Put(ctx, dir+"/"+s.node(), b)
}

// Clear ends the switches of a kind, of these modes; those of Every end the
// switches of all kinds. It returns the names of the nodes that it deleted;
// none is no error.
func (c *Client) Clear(ctx context.Context, kind string, modes Modes, by string) ([]string, error) {
	ctx, cancel := limited(ctx)
	defer cancel()
	ended := []string{}
	names, err := c.children(ctx)
	slices.Sort(names)
	for _, name := range names {
		of, mode, _ := strings.Cut(name, ".")
		m, bad := ParseMode(mode)
		if bad != nil || !modes.Has(m) || kind != Every && kind != of {
			continue
		}
		if err = c.zk.Delete(ctx, dir+"/"+name, -1); err != nil {
			break
		}
		ended = append(ended, name)
		c.log.Warn("degrade switch cleared", "kind", of, "mode", mode, "by", by)
	}
	if err != nil {
		return ended, fmt.Errorf("end %v for the kind %s: %w", modes, kind, err)
	}
	return ended, nil
}

// children lists the nodes; a directory that is not there is empty.
func (c *Client) children(ctx context.Context) ([]string, error) {
	names, err := c.zk.Children(ctx, dir)
	if errors.Is(err, zookeeper.ErrNoNode) {
		return nil, nil
	}
	return names, err
}

// sweep deletes a node that expired long ago, unless it has been written since.
func (c *Client) sweep(ctx context.Context, name string, old func(Switch) bool) error {
	ctx, cancel := limited(ctx)
	defer cancel()
	b, version, err := c.zk.Get(ctx, dir+"/"+name)
	if err != nil {
		return err
	}
	if s, err := parse(name, b); err != nil || !old(s) {
		return err
	}
	return c.zk.Delete(ctx, dir+"/"+name, version)
}

func limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, callLimit, fmt.Errorf("no answer within %v: %w", callLimit, context.DeadlineExceeded))
}

// reader decodes the nodes and names each that cannot be read in the log once.
type reader struct {
	log     *slog.Logger
	named   map[string]string // unreadable nodes and their data
	crowded bool
}

func (r *reader) read(nodes map[string][]byte) []Switch {
	named := map[string]string{}
	var all []Switch
	for _, name := range slices.Sorted(maps.Keys(nodes)) {
		b := nodes[name]
		s, err := parse(name, b)
		if err == nil {
			all = append(all, s)
			continue
		}
		excerpt := string(b[:min(len(b), 120)])
		if last, ok := r.named[name]; !ok || last != excerpt {
			r.log.Warn("a degrade switch is unreadable and left out", "node", dir+"/"+name, "error", err, "data", excerpt)
		}
		if len(named) < MaxSwitches {
			named[name] = excerpt
		}
	}
	r.named = named
	over := len(all) > MaxSwitches
	if over && !r.crowded {
		r.log.Warn("there are too many degrade switches, some are left out", "switches", len(all), "limit", MaxSwitches)
	}
	if r.crowded = over; over {
		all = all[:MaxSwitches]
	}
	return all
}
