package simulation

import (
	"iter"
	"slices"
	"time"
)

// process is one of the fleet. Its memory is gone after a crash.
type process struct {
	w       *world
	name    string
	up      bool
	paused  bool
	offBus  bool  // cut off from the brokers
	offLock bool  // cut off from ZooKeeper
	skew    int64 // of its clock, ms
	reborn  int64 // when it was started last
	tasks   []*task
}

func (w *world) process(name string) *process {
	return &process{w: w, name: name, skew: int64(w.choices.below(2*maxSkew/1000+1))*1000 - maxSkew}
}

// clock is what the process takes the time for.
func (p *process) clock() time.Time { return at(p.w.now + p.skew) }

func (p *process) nanos() int64 { return p.clock().UnixNano() }

// start begins a life.
func (p *process) start() {
	p.up, p.paused, p.reborn, p.tasks = true, false, p.w.now, nil
}

// crash ends all that the process was doing, each between two steps.
func (p *process) crash() {
	p.up, p.paused = false, false
	for _, t := range p.tasks {
		if !t.over {
			p.w.events.crashed(t.doing)
			t.stop()
		}
	}
	p.tasks = nil
}

// task is a piece of work of a process. It goes on by itself from one step to
// the next; what happens between two steps of it, others do.
type task struct {
	p     *process
	name  string
	doing string      // the step it is about to take
	until func() bool // what it waits for, nil: nothing
	over  bool
	// background: it never ends by itself, and is no slower than the clock.
	background bool

	yield func(struct{}) bool
	next  func() (struct{}, bool)
	end   func()
}

// ended is how a task's body is left when its process has crashed.
type ended struct{}

// spawn begins a task; its first step is yet to come.
func (p *process) spawn(name string, body func(*task)) *task {
	t := &task{p: p, name: name, doing: "begin"}
	t.next, t.end = iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			if v := recover(); v != nil {
				if _, ok := v.(ended); !ok {
					panic(v)
				}
			}
		}()
		t.yield = yield
		body(t)
	})
	p.tasks = append(p.tasks, t)
	p.w.tasks = append(p.w.tasks, t)
	return t
}

// background begins a task that goes on for the process's life.
func (p *process) background(name string, body func(*task)) {
	p.spawn(name, body).background = true
}

// run takes the task's next step.
func (t *task) run() {
	t.p.w.current = t
	if !t.background {
		t.say("%s", t.doing)
	}
	if _, more := t.next(); !more {
		t.over = true
	}
}

// stop ends the task where it stands.
func (t *task) stop() {
	if !t.over {
		t.over = true
		t.end()
	}
}

// step says what the task does next and lets others go first.
func (t *task) step(doing string) { t.wait(doing, nil) }

// wait is step for something that has to be the case first.
func (t *task) wait(doing string, until func() bool) {
	t.doing, t.until = doing, until
	if !t.yield(struct{}{}) {
		panic(ended{})
	}
	t.until = nil
}

// say notes what the task did.
func (t *task) say(format string, args ...any) {
	if t.p.w.cfg.Trace {
		t.p.w.say(t.p.name+", "+t.name+": "+format, args...)
	}
}

// ready lists the tasks that can go on, in the order in which they were begun.
func (w *world) ready() []*task {
	w.tasks = slices.DeleteFunc(w.tasks, func(t *task) bool { return t.over })
	ready := make([]*task, 0, len(w.tasks))
	for _, t := range w.tasks {
		if !t.p.paused && (t.until == nil || t.until()) {
			ready = append(ready, t)
		}
	}
	return ready
}
