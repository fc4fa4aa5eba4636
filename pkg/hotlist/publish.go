package hotlist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"eshop/pkg/zookeeper"
)

// ErrSuperseded is wrapped by the errors of a Publisher once a higher generation
// was found at its partition: another process holds it. It is final.
var ErrSuperseded = errors.New("superseded by another holder")

// Publisher writes the lists of one partition for one holder. Its methods may be
// called from any goroutine.
type Publisher struct {
	c          *Client
	partition  int32
	generation int64
	holder     string
	superseded atomic.Bool
	hot, top   fenced
}

// Claim makes the caller the holder of a partition's lists: no publisher that was
// claimed before can write once this one has written. It returns what a former
// holder published last, the zero Hot if nothing readable. ErrSuperseded when a
// later claim has written already.
func (c *Client) Claim(ctx context.Context, partition int32, holder string) (*Publisher, Hot, error) {
	p, former, err := c.claim(ctx, partition, holder)
	if err != nil {
		return nil, Hot{}, fmt.Errorf("claim the lists of partition %d: %w", partition, err)
	}
	return p, former, nil
}

func (c *Client) claim(ctx context.Context, partition int32, holder string) (*Publisher, Hot, error) {
	if partition < 0 || holder == "" || len(holder) > MaxHolder {
		return nil, Hot{}, fmt.Errorf("the holder %.64q: a partition is at least 0, a holder's name has 1 to %d bytes", holder, MaxHolder)
	}
	ctx, cancel := limited(ctx)
	defer cancel()
	// The token first: whoever takes one later has a higher one, and finds what
	// this publisher wrote or makes it find what that one wrote.
	generation, err := c.zk.Token(ctx)
	if err != nil {
		return nil, Hot{}, err
	}
	p := &Publisher{c: c, partition: partition, generation: generation, holder: holder}
	name := partitionNode(partition)
	p.hot = fenced{p: p, path: hotDir + "/" + name, busy: make(chan struct{}, 1)}
	p.top = fenced{p: p, path: topDir + "/" + name, busy: make(chan struct{}, 1)}
	data, _, err := p.hot.inspect(ctx)
	if err != nil || data == nil {
		return p, Hot{}, err
	}
	former, err := parseHot(name, data)
	if err != nil {
		c.log.Warn("a former holder's list is unreadable and will be replaced", "node", p.hot.path, "error", err, "data", excerpt(data))
		return p, Hot{}, nil
	}
	return p, former, nil
}

// Generation is the fencing token of the claim.
func (p *Publisher) Generation() int64 { return p.generation }

// PublishHot writes the list of hot keys. Partition, generation, holder and the
// keys' reason are the publisher's to fill in, and the time of publication when
// it is 0. ErrSuperseded, ErrTooLarge; any other error leaves open whether the
// list was written, the next one settles it.
func (p *Publisher) PublishHot(ctx context.Context, h Hot) error {
	h.Partition, h.Generation, h.Holder = p.partition, p.generation, p.holder
	h.Published = published(h.Published)
	keys := make([]Key, len(h.Keys))
	for i, k := range h.Keys {
		k.Reason = ReasonRule
		keys[i] = k
	}
	h.Keys = keys
	data, err := encodeHot(h)
	return p.hot.publish(ctx, data, err)
}

// PublishTop writes the list of the most frequent keys, as PublishHot does.
func (p *Publisher) PublishTop(ctx context.Context, t Top) error {
	t.Partition, t.Generation, t.Holder = p.partition, p.generation, p.holder
	t.Published = published(t.Published)
	data, err := encodeTop(t)
	return p.top.publish(ctx, data, err)
}

func published(at int64) int64 {
	if at == 0 {
		return time.Now().UnixMilli()
	}
	return at
}

// fenced is one node that a publisher writes.
type fenced struct {
	p    *Publisher
	path string
	busy chan struct{} // held by the one call under way

	// What the node was when it was last seen. A write of ours whose outcome is
	// not known makes it wrong, never dangerous: the version is refused then.
	known   bool
	exists  bool
	version int32
}

func (f *fenced) publish(ctx context.Context, data []byte, err error) error {
	if err == nil {
		err = f.write(ctx, data)
	}
	if err != nil {
		return fmt.Errorf("publish %s: %w", f.path, err)
	}
	return nil
}

// write replaces the node's data unless a higher generation stands there. It
// never writes to a version of which it has not checked the generation: a
// version it wrote itself, or one that inspect has read.
func (f *fenced) write(ctx context.Context, data []byte) error {
	ctx, cancel := limited(ctx)
	defer cancel()
	select {
	case f.busy <- struct{}{}:
		defer func() { <-f.busy }()
	case <-ctx.Done():
		return fmt.Errorf("wait for the write before: %w", context.Cause(ctx))
	}
	for {
		if f.p.superseded.Load() {
			return ErrSuperseded
		}
		if !f.known {
			there, generation, err := f.inspect(ctx)
			if err != nil {
				return err
			}
			// Nobody else has our generation, so this is our own write whose
			// answer was lost.
			if generation == f.p.generation && bytes.Equal(there, data) {
				return nil
			}
		}
		err := f.compareAndSet(ctx, data)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, zookeeper.ErrBadVersion), errors.Is(err, zookeeper.ErrNoNode),
			errors.Is(err, zookeeper.ErrNodeExists), errors.Is(err, zookeeper.ErrUnknownOutcome):
			f.known = false
			if ctx.Err() == nil {
				continue
			}
		}
		return err
	}
}

func (f *fenced) compareAndSet(ctx context.Context, data []byte) error {
	if !f.exists {
		err := f.p.c.zk.Create(ctx, f.path, data)
		if err == nil {
			f.exists, f.version = true, 0
		}
		return err
	}
	version, err := f.p.c.zk.Set(ctx, f.path, data, f.version)
	if err == nil {
		f.version = version
	}
	return err
}

// inspect reads the node; nil data when there is none. A generation above the
// publisher's own ends the publisher.
func (f *fenced) inspect(ctx context.Context) (data []byte, generation int64, err error) {
	data, version, err := f.p.c.zk.Get(ctx, f.path)
	if errors.Is(err, zookeeper.ErrNoNode) {
		f.known, f.exists = true, false
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	if data == nil {
		data = []byte{}
	}
	var head struct {
		Generation int64  `json:"generation"`
		Holder     string `json:"holder"`
	}
	if err := decode(data, &head); err != nil {
		head.Generation = 0 // nobody's: it is taken over
	}
	if head.Generation > f.p.generation {
		f.p.superseded.Store(true)
		return nil, 0, fmt.Errorf("%w: %s was written by %.64q with generation %d, ours is %d", ErrSuperseded, f.path, head.Holder, head.Generation, f.p.generation)
	}
	f.known, f.exists, f.version = true, true, version
	return data, head.Generation, nil
}
