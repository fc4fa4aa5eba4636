package lru

// queue is a list of nodes that is linked through them: of an entry's way through
// the cache most is through queues, and a list of the library takes a map lookup
// for each step.
type queue[K comparable, V any] struct {
	newest, oldest *node[K, V]
	n              int
}

func (q *queue[K, V]) push(n *node[K, V]) {
	n.older = q.newest
	if q.newest == nil {
		q.oldest = n
	} else {
		q.newest.newer = n
	}
	q.newest = n
	q.n++
}

func (q *queue[K, V]) remove(n *node[K, V]) {
	if n.newer == nil {
		q.newest = n.older
	} else {
		n.newer.older = n.older
	}
	if n.older == nil {
		q.oldest = n.newer
	} else {
		n.older.newer = n.newer
	}
	n.newer, n.older = nil, nil
	q.n--
}
