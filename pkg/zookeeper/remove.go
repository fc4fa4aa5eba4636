package zookeeper

import (
	"context"
	"errors"

	"github.com/go-zookeeper/zk"
)

// remove deletes a node in the background, until it or the session is gone.
// free is called then. Their number is bounded by the places for lock nodes
// and by the number of members.
func (l *link) remove(path string, free func()) {
	started := l.start(func() {
		defer free()
		l.removeNow(path)
	})
	if !started {
		free() // the session is being closed, its nodes go with it
	}
}

func (l *link) removeNow(path string) {
	var pause backoff
	for {
		err := l.conn.Delete(path, -1)
		if err == nil || errors.Is(err, zk.ErrNoNode) {
			return
		}
		if answered(err) {
			l.s.log.Error("ZooKeeper refuses to remove an own node", "path", path, "error", err)
		}
		if pause.wait(context.Background(), l.gone) != nil || l.await(context.Background()) != nil {
			return
		}
	}
}

// sweep removes, in the background, every lock node with the GUID: the answer
// to its create was lost.
func (l *link) sweep(parent, guid string, free func()) {
	started := l.start(func() {
		defer free()
		var pause backoff
		for {
			if l.await(context.Background()) != nil {
				return
			}
			found, err := l.findGUID(context.Background(), parent, guid)
			if err == nil {
				for _, p := range found {
					l.removeNow(parent + "/" + p.node)
				}
				return
			}
			if pause.wait(context.Background(), l.gone) != nil {
				return
			}
		}
	})
	if !started {
		free()
	}
}
