package lifecycle

import (
	"context"
	"sync"
	"time"
)

// State is where an actor stands. It only moves forward.
type State int

// The states of an actor, in order. A step goes from Starting to Stopped without ever being Running.
const (
	Waiting  State = iota // not started yet
	Starting              // its function runs, ready was not called
	Running               // ready was called
	Stopping              // its context was cancelled, its function has not returned
	Stopped               // its function returned as it was asked to
	Failed                // its function returned an error, or returned without being asked to
)

// String returns the state's name in lower case.
func (s State) String() string {
	switch s {
	case Waiting:
		return "waiting"
	case Starting:
		return "starting"
	case Running:
		return "running"
	case Stopping:
		return "stopping"
	case Stopped:
		return "stopped"
	case Failed:
		return "failed"
	}
	return "unknown"
}

// MarshalText makes states readable in JSON.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// ActorState is one actor's name and state, for status pages.
type ActorState struct {
	Name  string    `json:"name"`
	State State     `json:"state"`
	Since time.Time `json:"since"`
}

type actor struct {
	name string
	step bool // returns when its work is done; the next actor starts after that
	run  func(ctx context.Context, ready func()) error

	cancel context.CancelFunc
	up     chan struct{} // closed by the first call of ready
	done   chan struct{} // closed after run returned and err was set
	err    error         // what run returned; read only after done

	mu    sync.Mutex
	state State
	since time.Time
}

// enter moves the actor forward; a late call of ready cannot take it back from Stopping.
func (a *actor) enter(s State) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s > a.state {
		a.state, a.since = s, time.Now()
	}
}

func (a *actor) is() (State, time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state, a.since
}

// start runs the actor on its own goroutine; ended receives the actor after run returned. Ended has
// room for every actor, so that the goroutine ends even if nobody listens any more.
func (a *actor) start(ctx context.Context, ended chan<- *actor) {
	ctx, a.cancel = context.WithCancel(ctx)
	a.up, a.done = make(chan struct{}), make(chan struct{})
	a.enter(Starting)
	ready := sync.OnceFunc(func() {
		a.enter(Running)
		close(a.up)
	})
	go func() {
		a.err = a.run(ctx, ready)
		close(a.done)
		ended <- a
	}()
}
