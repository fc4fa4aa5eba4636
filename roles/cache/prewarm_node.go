package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"eshop/pkg/zookeeper"
)

// The nodes below the root.
const (
	requestNode = "prewarm/request"
	planNode    = "prewarm/plan"
	stateNode   = "prewarm/state"
)

// nodes is what a prewarm asks of ZooKeeper; *zookeeper.Session has it, and so
// have the memory nodes of the tests in which time does not pass by itself.
type nodes interface {
	Get(ctx context.Context, path string) (data []byte, version int32, err error)
	Set(ctx context.Context, path string, data []byte, version int32) (int32, error)
	Create(ctx context.Context, path string, data []byte) error
	Token(ctx context.Context) (int64, error)
}

// errOvertaken: somebody else has written the node since it was read.
var errOvertaken = errors.New("another process has taken over")

// versioned is a node that is written by compare-and-set on its version: a
// process that was paused, and thinks that it still has the lock, finds a
// version it does not know and cannot undo what its successor wrote.
//
// That holds because a successor writes the state before it does anything else:
// from then on no version that a predecessor has read is the present one.
type versioned struct {
	zk      nodes
	path    string
	version int32  // -1: there is no node
	data    []byte // of that version
}

func newVersioned(zk nodes, path string) *versioned {
	return &versioned{zk: zk, path: path, version: -1}
}

func (n *versioned) read(ctx context.Context) error {
	data, version, err := n.zk.Get(ctx, n.path)
	if errors.Is(err, zookeeper.ErrNoNode) {
		n.data, n.version = nil, -1
		return nil
	}
	if err != nil {
		return err
	}
	n.data, n.version = data, version
	return nil
}

// write replaces the node's data; errOvertaken when it is not what it was. No
// two processes write the same data, so data found in place of an answer that
// was lost are our own.
func (n *versioned) write(ctx context.Context, data []byte) error {
	for {
		err := n.compareAndSet(ctx, data)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, zookeeper.ErrBadVersion), errors.Is(err, zookeeper.ErrNoNode),
			errors.Is(err, zookeeper.ErrNodeExists), errors.Is(err, zookeeper.ErrUnknownOutcome):
		default:
			return err
		}
		before := n.version
		if err := n.read(ctx); err != nil {
			return err
		}
		switch {
		case n.version >= 0 && bytes.Equal(n.data, data):
			return nil
		case n.version != before || !errors.Is(err, zookeeper.ErrUnknownOutcome):
			return fmt.Errorf("write the node %s: %w", n.path, errOvertaken)
		}
	}
}

func (n *versioned) compareAndSet(ctx context.Context, data []byte) error {
	version := int32(0)
	var err error
	if n.version < 0 {
		err = n.zk.Create(ctx, n.path, data)
	} else {
		version, err = n.zk.Set(ctx, n.path, data, n.version)
	}
	if err == nil {
		n.version, n.data = version, data
	}
	return err
}
