package zookeeper

// event is a change that watches may wait for.
type event struct {
	kind eventType
	path string
}

// watchKind: exists and getData arm data watches, getChildren arms child watches.
type watchKind int

const (
	dataWatch watchKind = iota
	childWatch
)

// watchTable holds the armed one-shot watches of all connections. A watch belongs to a connection, not to a session: clients arm theirs again by
// setWatches after a reconnect.
type watchTable struct {
	armed [2]map[string]map[*conn]struct{}
	of    map[*conn]map[watchKey]struct{}
}

type watchKey struct {
	kind watchKind
	path string
}

func newWatchTable() *watchTable {
	return &watchTable{
		armed: [2]map[string]map[*conn]struct{}{{}, {}},
		of:    map[*conn]map[watchKey]struct{}{},
	}
}

// arm sets a watch; arming twice is one watch. False: the connection has its full number of watches.
func (w *watchTable) arm(c *conn, kind watchKind, path string, limit int) bool {
	key := watchKey{kind, path}
	mine := w.of[c]
	if _, ok := mine[key]; ok {
		return true
	}
	if len(mine) >= limit {
		return false
	}
	if mine == nil {
		mine = map[watchKey]struct{}{}
		w.of[c] = mine
	}
	mine[key] = struct{}{}
	set := w.armed[kind][path]
	if set == nil {
		set = map[*conn]struct{}{}
		w.armed[kind][path] = set
	}
	set[c] = struct{}{}
	return true
}

// take disarms the watches on a path and returns their connections.
func (w *watchTable) take(kind watchKind, path string) map[*conn]struct{} {
	set := w.armed[kind][path]
	delete(w.armed[kind], path)
	for c := range set {
		mine := w.of[c]
		delete(mine, watchKey{kind, path})
		if len(mine) == 0 {
			delete(w.of, c)
		}
	}
	return set
}

// forget disarms all watches of a connection.
func (w *watchTable) forget(c *conn) {
	for key := range w.of[c] {
		set := w.armed[key.kind][key.path]
		delete(set, c)
		if len(set) == 0 {
			delete(w.armed[key.kind], key.path)
		}
	}
	delete(w.of, c)
}

// fire disarms the watches an event wakes and puts the event into their connections' outboxes. A connection with a data and a
// child watch on a deleted node hears of it once.
func (w *watchTable) fire(events []event) {
	for _, ev := range events {
		var hear map[*conn]struct{}
		switch ev.kind {
		case eventCreated, eventDataChanged:
			hear = w.take(dataWatch, ev.path)
		case eventChildrenChanged:
			hear = w.take(childWatch, ev.path)
		case eventDeleted:
			hear = w.take(dataWatch, ev.path)
			for c := range w.take(childWatch, ev.path) {
				if hear == nil {
					hear = map[*conn]struct{}{}
				}
				hear[c] = struct{}{}
			}
		}
		if len(hear) == 0 {
			continue
		}
		frame := eventFrame(ev)
		for c := range hear {
			c.notify(frame)
		}
	}
}

func eventFrame(ev event) []byte {
	e := newFrame(watchXid, -1, codeOK)
	e.int32(int32(ev.kind))
	e.int32(stateSyncConnected)
	e.string(ev.path)
	return e.finish()
}

// rearm is setWatches: each watch either is armed or, when its change came while the client was away, fires at once.
// False: the connection has its full number of watches.
func (s *Server) rearm(c *conn, r setWatchesRequest) bool {
	ok := true
	each := func(paths []string, kind watchKind, missed func(n *node) eventType) {
		for _, path := range paths {
			if ev := missed(s.tree.find(path)); ev != 0 {
				c.notify(eventFrame(event{ev, path}))
			} else {
				ok = s.watches.arm(c, kind, path, s.cfg.MaxWatches) && ok
			}
		}
	}
	each(r.data, dataWatch, func(n *node) eventType {
		switch {
		case n == nil:
			return eventDeleted
		case n.mzxid > r.relativeZxid:
			return eventDataChanged
		}
		return 0
	})
	each(r.exist, dataWatch, func(n *node) eventType {
		if n != nil {
			return eventCreated
		}
		return 0
	})
	each(r.child, childWatch, func(n *node) eventType {
		switch {
		case n == nil:
			return eventDeleted
		case n.pzxid > r.relativeZxid:
			return eventChildrenChanged
		}
		return 0
	})
	return ok
}
