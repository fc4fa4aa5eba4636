package admission

import "time"

// waiter is one caller in the queue. The others are linked through it, so that
// it can leave from anywhere in O(1).
type waiter struct {
	prev, next *waiter
	queued     bool
	// outcome gets one value: nil with a slot, else why there is none. It has room
	// for it, so nobody waits to hand it over.
	outcome chan *Refused
	granted time.Time // set before the slot is handed over
}

// queue holds the waiting callers, the oldest first. The zero value is empty.
type queue struct {
	oldest, newest *waiter
	len            int
}

func (q *queue) push(w *waiter) {
	w.prev, w.next, w.queued = q.newest, nil, true
	if q.newest != nil {
		q.newest.next = w
	} else {
		q.oldest = w
	}
	q.newest = w
	q.len++
}

// remove takes w out and reports whether it was there.
func (q *queue) remove(w *waiter) bool {
	if !w.queued {
		return false
	}
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		q.oldest = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		q.newest = w.prev
	}
	w.prev, w.next, w.queued = nil, nil, false
	q.len--
	return true
}
