package hotlist

import (
	"bytes"
	"log/slog"
	"sync"
)

// directory decodes the children of one directory. It keeps what it decoded, so
// that one changed child costs one decoding, and a child that cannot be read is
// logged once and not at every change of another. The values are shared between
// callers and must not be changed.
type directory[T any] struct {
	name  string
	log   *slog.Logger
	parse func(name string, data []byte) (T, error)

	mu      sync.Mutex
	seen    map[string]parsed[T]
	crowded bool // said that there are too many
}

type parsed[T any] struct {
	data  []byte
	value T
	err   error
}

// read returns the children that can be read, in no order.
func (d *directory[T]) read(nodes map[string][]byte) []T {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := make(map[string]parsed[T], len(nodes))
	values := make([]T, 0, len(nodes))
	for name, data := range nodes {
		p, ok := d.seen[name]
		if !ok || !bytes.Equal(p.data, data) {
			p = parsed[T]{data: data}
			p.value, p.err = d.parse(name, data)
			if p.err != nil {
				d.log.Warn("a node is unreadable and left out", "node", d.name+"/"+name, "error", p.err, "data", excerpt(data))
			}
		}
		now[name] = p
		if p.err == nil {
			values = append(values, p.value)
		}
	}
	d.seen = now // what is gone is forgotten: no more is kept than there is
	return values
}

// bound returns whether there are more values than the limit, and says so in the
// log when that begins.
func (d *directory[T]) bound(values, limit int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	over := values > limit
	if over && !d.crowded {
		d.log.Warn("a directory has too many nodes, some are left out", "node", d.name, "nodes", values, "limit", limit)
	}
	d.crowded = over
	return over
}

// excerpt is what the log shows of a node's data.
func excerpt(data []byte) string { return string(data[:min(len(data), 120)]) }
