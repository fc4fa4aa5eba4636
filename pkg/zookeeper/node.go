package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-zookeeper/zk"

	"eshop/pkg/tracing"
)

// abs returns the full path of a path relative to the root.
func (s *Session) abs(path string) string {
	path = strings.Trim(path, "/")
	switch {
	case path != "":
		return s.cfg.Root + "/" + path
	case s.cfg.Root == "":
		return "/"
	}
	return s.cfg.Root
}

// onAny runs a request that may be repeated until it is answered, whatever
// session that takes.
func onAny[T any](ctx context.Context, s *Session, do func(*zk.Conn) (T, error)) (T, error) {
	var pause backoff
	for {
		l, err := s.live(ctx)
		if err != nil {
			var none T
			return none, err
		}
		value, err := call(ctx, l, do, nil)
		if ctx.Err() != nil || !broken(err) && !errors.Is(err, errGone) {
			return value, err
		}
		if werr := pause.wait(ctx, nil); werr != nil {
			return value, errors.Join(werr, err)
		}
	}
}

// Ensure creates the nodes that are missing, parents included, as persistent
// nodes without data. Paths are relative to the root; no path stands for the
// root itself.
func (s *Session) Ensure(ctx context.Context, paths ...string) error {
	if len(paths) == 0 {
		paths = []string{""}
	}
	for _, path := range paths {
		if err := s.ensureAny(ctx, s.abs(path)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) ensureAny(ctx context.Context, full string) error {
	for {
		l, err := s.live(ctx)
		if err != nil {
			return fmt.Errorf("ensure the node %s: %w", full, err)
		}
		if err := l.ensure(ctx, full); ctx.Err() != nil || !errors.Is(err, errGone) {
			return err
		}
	}
}

// ensure creates a node and its parents, given its full path.
func (l *link) ensure(ctx context.Context, full string) error {
	exists, err := retry(ctx, l, func(conn *zk.Conn) (bool, error) {
		exists, _, err := conn.Exists(full)
		return exists, err
	})
	for err == nil && !exists {
		_, err = retry(ctx, l, func(conn *zk.Conn) (string, error) {
			return conn.Create(full, nil, zk.FlagPersistent, l.s.acl)
		})
		cut := strings.LastIndexByte(full, '/')
		switch {
		case errors.Is(err, zk.ErrNodeExists):
			err, exists = nil, true
		case errors.Is(err, zk.ErrNoNode) && cut > 0:
			if err := l.ensure(ctx, full[:cut]); err != nil {
				return err
			}
			err = nil
		default:
			exists = err == nil
		}
	}
	if err != nil {
		return fmt.Errorf("ensure the node %s: %w", full, err)
	}
	return nil
}

// Get returns a node's data and version; ErrNoNode when there is none.
func (s *Session) Get(ctx context.Context, path string) (data []byte, version int32, err error) {
	node, err := onAny(ctx, s, func(conn *zk.Conn) (watched, error) {
		data, stat, err := conn.Get(s.abs(path))
		if err != nil {
			return watched{}, err
		}
		return watched{data: data, stat: *stat}, nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read the node %s: %w", s.abs(path), err)
	}
	return node.data, node.stat.Version, nil
}

// Set writes a node's data if it has the version, -1 for any, and returns the
// new version; ErrNoNode, ErrBadVersion. A write of any version is repeated
// after a lost connection; one of a certain version is not, its error is
// ErrUnknownOutcome then.
func (s *Session) Set(ctx context.Context, path string, data []byte, version int32) (int32, error) {
	stat, err := s.set(ctx, path, data, version)
	if err != nil {
		return 0, fmt.Errorf("write the node %s: %w", s.abs(path), err)
	}
	return stat.Version, nil
}

func (s *Session) set(ctx context.Context, path string, data []byte, version int32) (zk.Stat, error) {
	request := func(conn *zk.Conn) (zk.Stat, error) {
		stat, err := conn.Set(s.abs(path), data, version)
		if err != nil {
			return zk.Stat{}, err
		}
		return *stat, nil
	}
	if version < 0 {
		return onAny(ctx, s, request)
	}
	return once(ctx, s, request)
}

// once runs a request that must not be repeated once it was sent.
func once[T any](ctx context.Context, s *Session, do func(*zk.Conn) (T, error)) (T, error) {
	var pause backoff
	for {
		l, err := s.live(ctx)
		if err != nil {
			var none T
			return none, err
		}
		value, err := call(ctx, l, do, nil)
		if unsent(err) && ctx.Err() == nil && pause.wait(ctx, nil) == nil {
			continue
		}
		if broken(err) || abandoned(err) {
			err = errors.Join(ErrUnknownOutcome, err)
		}
		return value, err
	}
}

// Create makes a persistent node with data, and the parents that are missing.
// ErrNodeExists when there is one; ErrUnknownOutcome when the connection broke
// before the answer.
func (s *Session) Create(ctx context.Context, path string, data []byte) error {
	full := s.abs(path)
	for {
		_, err := once(ctx, s, func(conn *zk.Conn) (string, error) {
			return conn.Create(full, data, zk.FlagPersistent, s.acl)
		})
		cut := strings.LastIndexByte(full, '/')
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, zk.ErrNoNode) || cut <= 0:
			return fmt.Errorf("create the node %s: %w", full, err)
		}
		if err := s.ensureAny(ctx, full[:cut]); err != nil {
			return err
		}
	}
}

// Put writes a node's data whatever it was, and creates the node if need be.
func (s *Session) Put(ctx context.Context, path string, data []byte) error {
	for {
		_, err := s.Set(ctx, path, data, -1)
		if !errors.Is(err, ErrNoNode) {
			return err
		}
		err = s.Create(ctx, path, data)
		if !errors.Is(err, ErrNodeExists) && !errors.Is(err, ErrUnknownOutcome) || ctx.Err() != nil {
			return err
		}
	}
}

// Delete removes a node if it has the version, -1 for any. A node that is not
// there is no error, so that a delete may be repeated.
func (s *Session) Delete(ctx context.Context, path string, version int32) error {
	_, err := onAny(ctx, s, func(conn *zk.Conn) (struct{}, error) {
		return struct{}{}, conn.Delete(s.abs(path), version)
	})
	if err != nil && !errors.Is(err, zk.ErrNoNode) {
		return fmt.Errorf("delete the node %s: %w", s.abs(path), err)
	}
	return nil
}

// Children returns the names of a node's children, in no order; ErrNoNode.
func (s *Session) Children(ctx context.Context, path string) ([]string, error) {
	children, err := onAny(ctx, s, func(conn *zk.Conn) ([]string, error) {
		children, _, err := conn.Children(s.abs(path))
		return children, err
	})
	if err != nil {
		return nil, fmt.Errorf("list the children of %s: %w", s.abs(path), err)
	}
	return children, nil
}

// Token returns a fresh fencing token without a lock: the zxid of a write to
// one node. It is unique, above every token handed out before the call, and in
// one order with the tokens of tickets.
func (s *Session) Token(ctx context.Context) (int64, error) {
	ctx, span := tracing.Start(ctx, tracing.Client, "zookeeper token")
	defer span.End()
	token, err := s.token(ctx)
	if span.On() {
		span.Set(tracing.ZooKeeper("set", "")...)
		if span.Fail(err); err == nil {
			span.Set(tracing.Token(token))
		}
	}
	return token, err
}

func (s *Session) token(ctx context.Context) (int64, error) {
	for {
		stat, err := s.set(ctx, "token", nil, -1)
		if err == nil {
			return stat.Mzxid, nil
		}
		if !errors.Is(err, zk.ErrNoNode) {
			return 0, fmt.Errorf("take a fencing token: %w", err)
		}
		if err := s.Ensure(ctx, "token"); err != nil {
			return 0, fmt.Errorf("take a fencing token: %w", err)
		}
	}
}
