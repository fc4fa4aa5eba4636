package zookeeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/go-zookeeper/zk"
)

// MembersPath returns the node, relative to the root, whose children are the
// members of a group: give it to WatchChildren.
func MembersPath(group string) string { return "members/" + group }

// Join keeps an ephemeral node for the member id of a group, with data, until
// ctx ends: it is made again after the session expired, and when it vanished.
// It returns at once.
//
// A node of the same id that belongs to another session is most often one of
// this member's former life: it is replaced, in one step, when the member first
// joins. One that turns up later belongs to a second process with the same id,
// which is logged; the node is then left alone until it goes.
func (s *Session) Join(ctx context.Context, group, id string, data []byte) {
	m := &member{s: s, path: s.abs(MembersPath(group) + "/" + escapeName(id)), parent: s.abs(MembersPath(group)), data: bytes.Clone(data)}
	s.background(ctx, m.run)
}

type member struct {
	s      *Session
	path   string
	parent string
	data   []byte
	joined bool // the node has been ours before
}

func (m *member) run(ctx context.Context) {
	var pause backoff
	var latest *link // whose session may have the node
	defer func() {
		if latest != nil {
			latest.leave(m.path)
		}
	}()
	for ctx.Err() == nil {
		l, err := m.s.live(ctx)
		if err != nil {
			return
		}
		latest = l
		err = m.keep(ctx, l, &pause)
		if err != nil && ctx.Err() == nil && !errors.Is(err, errGone) && !broken(err) {
			m.s.complain("cannot register as a member", m.path, err)
		}
		if pause.wait(ctx, nil) != nil {
			return
		}
	}
}

// keep registers the member and returns when the node may need to be made
// again.
func (m *member) keep(ctx context.Context, l *link, pause *backoff) error {
	state, err := retry(ctx, l, watchNode(m.path))
	switch {
	case errors.Is(err, zk.ErrNoNode):
		return m.create(ctx, l)
	case err != nil:
		return err
	}
	owner := state.stat.EphemeralOwner // 0 if someone made a lasting node
	switch {
	case l.isGone():
		return errGone
	case owner != 0 && owner == l.conn.SessionID():
		m.joined = true
		pause.reset()
	case !m.joined:
		return m.replace(ctx, l, state.stat.Version)
	default:
		m.s.log.Error("another process has this member's id", "path", m.path)
	}
	select {
	case <-state.events:
	case <-l.gone:
	case <-ctx.Done():
	}
	return nil
}

func (m *member) create(ctx context.Context, l *link) error {
	_, err := call(ctx, l, func(conn *zk.Conn) (string, error) {
		return conn.Create(m.path, m.data, zk.FlagEphemeral, m.s.acl)
	}, func(string, error) { l.leave(m.path) })
	switch {
	case errors.Is(err, zk.ErrNoNode):
		return l.ensure(ctx, m.parent)
	case errors.Is(err, zk.ErrNodeExists):
		return nil
	case err != nil:
		return fmt.Errorf("create the member node: %w", err)
	}
	m.joined = true
	return nil
}

// replace puts the own node in the place of one that another session left.
func (m *member) replace(ctx context.Context, l *link, version int32) error {
	_, err := call(ctx, l, func(conn *zk.Conn) ([]zk.MultiResponse, error) {
		return conn.Multi(
			&zk.DeleteRequest{Path: m.path, Version: version},
			&zk.CreateRequest{Path: m.path, Data: m.data, Acl: m.s.acl, Flags: zk.FlagEphemeral},
		)
	}, func([]zk.MultiResponse, error) { l.leave(m.path) })
	switch {
	case errors.Is(err, zk.ErrNoNode), errors.Is(err, zk.ErrBadVersion), errors.Is(err, zk.ErrNodeExists):
		return nil // it changed meanwhile: look again
	case err != nil:
		return fmt.Errorf("replace the member node of an earlier session: %w", err)
	}
	m.joined = true
	return nil
}

// leave removes a member's node in the background, if it is this session's.
func (l *link) leave(path string) {
	l.start(func() {
		state, err := retry(context.Background(), l, func(conn *zk.Conn) (zk.Stat, error) {
			exists, stat, err := conn.Exists(path)
			if err != nil || !exists {
				return zk.Stat{}, err
			}
			return *stat, nil
		})
		if err == nil && state.EphemeralOwner != 0 && state.EphemeralOwner == l.conn.SessionID() {
			l.removeNow(path)
		}
	})
}
