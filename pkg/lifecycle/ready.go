package lifecycle

import (
	"context"
	"sync"
	"time"
)

// Condition is one named requirement for taking traffic.
type Condition struct {
	Name   string    `json:"name"`
	OK     bool      `json:"ok"`
	Reason string    `json:"reason,omitempty"` // why it does not hold; may be set on a condition that holds, as a remark
	Since  time.Time `json:"since"`            // when OK last changed, or when the condition was first set
}

// Ready is a set of conditions; the process is ready when all of them hold. The zero value is ready
// for use and, having no conditions, counts as ready. All methods may be called from any goroutine.
type Ready struct {
	mu         sync.Mutex
	index      map[string]int
	conditions []Condition
	changed    chan struct{} // closed at the next change; nil when nobody waits
}

// Set states whether the named condition holds, and why not. The first Set of a name adds it; the
// order of first mention is the order of all listings.
func (r *Ready) Set(name string, ok bool, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
	i, known := r.index[name]
	if !known {
		if r.index == nil {
			r.index = make(map[string]int)
		}
		r.index[name] = len(r.conditions)
		r.conditions = append(r.conditions, Condition{Name: name, OK: ok, Reason: reason, Since: time.Now()})
		return
	}
	c := &r.conditions[i]
	if c.OK != ok {
		c.Since = time.Now()
	}
	c.OK, c.Reason = ok, reason
}

// OK reports whether every condition holds.
func (r *Ready) OK() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.conditions {
		if !r.conditions[i].OK {
			return false
		}
	}
	return true
}

// Changed returns a channel that is closed at the next Set. Who takes it before
// looking at the conditions misses no change after that look.
func (r *Ready) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.changed
}

// Wait returns nil once every condition holds, or the end of ctx.
func (r *Ready) Wait(ctx context.Context) error {
	for {
		changed := r.Changed()
		if r.OK() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Reasons lists the conditions that do not hold, each as "name: reason"; it is empty when ready.
func (r *Ready) Reasons() []string {
	var reasons []string
	for _, c := range r.Conditions() {
		if c.OK {
			continue
		}
		if c.Reason == "" {
			reasons = append(reasons, c.Name)
			continue
		}
		reasons = append(reasons, c.Name+": "+c.Reason)
	}
	return reasons
}

// Conditions returns a copy of all conditions in the order of their first mention.
func (r *Ready) Conditions() []Condition {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Condition(nil), r.conditions...)
}
