package simulation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"eshop/pkg/catalog"
)

// Wiring takes a guard out, to show that the checker finds what it guards against.
type Wiring struct {
	NoFloor       bool // nothing that the bus announced is remembered
	ConstantToken bool // every lock node has the same token
	PlainSet      bool // a write into Redis does not compare
	Mark          bool // whether the bus is behind is a mark that a ticker sets, and not a time
}

// Config is one schedule.
type Config struct {
	Seed uint64
	// Choices, when there are any, decide before the seed does.
	Choices []byte
	Wiring  Wiring
	// Trace: keep what happened, in words.
	Trace bool
}

// Result is what came of a schedule.
type Result struct {
	Violation string // the first one, "" for none
	Trace     []string
	Events    Events
}

// Runner runs schedules, one after the other.
type Runner struct {
	script *script
	cat    *catalog.Catalog
}

// NewRunner returns a runner. Close it after use.
func NewRunner() (*Runner, error) {
	s, err := newScript()
	if err != nil {
		return nil, err
	}
	return &Runner{script: s, cat: catalog.Default()}, nil
}

// Close gives back the interpreter of the script.
func (r *Runner) Close() { r.script.close() }

// Run runs one schedule. The same Config gives the same Result.
func (r *Runner) Run(cfg Config) Result {
	w := &world{cfg: cfg, script: r.script, cat: r.cat, choices: choices{data: cfg.Choices, rng: rand.New(rand.NewPCG(cfg.Seed, 0x5eed))}}
	w.build()
	w.play()
	if w.violation == "" {
		w.calm()
	}
	for _, t := range w.tasks {
		t.stop()
	}
	if w.violation == "" {
		w.countLog()
	}
	return Result{Violation: w.violation, Trace: w.lines, Events: w.events}
}

// The fleet.
const (
	documents  = 3
	partitions = 2
	caches     = 2
	gateways   = 2
)

// Times of the model, in ms. What matters is how they relate to each other.
const (
	maxStaleness   = 30_000
	heartbeat      = 4_000
	sessionTimeout = 6_000
	lockWait       = 3_000
	loadTimeout    = 5_000 // of a question to another process
	maxSkew        = 2_000 // of a process's clock, either way
	maxLag         = 20_000
	replay         = 300_000
	softTTL        = 600_000
	negativeTTL    = 5_000
	provisionalTTL = 2_000
	tick           = 600 // of a ticker that Wiring.Mark brings back
	// bound is how old what is served unmarked may be: the limit, what clocks may
	// differ, and the time to load and to forward.
	bound = maxStaleness + 2*maxSkew + heartbeat + 2*loadTimeout
)

// world is everything there is in one schedule. One thing happens at a time.
type world struct {
	cfg     Config
	choices choices
	script  *script
	cat     *catalog.Catalog
	now     int64 // ms
	steps   int
	calmed  bool // the adversary has stopped

	tasks    []*task
	current  *task // whose step is under way
	origin   origin
	redis    redis
	zk       ensemble
	changes  [partitions]topic
	bus      [partitions]topic
	dead     []string
	feed     feed
	caches   []*cache
	gateways []*gateway

	check     checker
	violation string
	events    Events
	lines     []string
}

func (w *world) build() {
	w.now = 1_000_000
	w.check.w = w
	w.origin.w, w.redis.w, w.zk.w = w, w, w
	for i := range int64(documents) {
		w.origin.create(catalog.Key{Kind: "product", ID: i + 1})
	}
	w.redis.start()
	w.feed.w = w
	for i := range caches {
		w.caches = append(w.caches, &cache{process: w.process(fmt.Sprintf("cache %d", i+1))})
	}
	for i := range gateways {
		w.gateways = append(w.gateways, &gateway{process: w.process(fmt.Sprintf("gateway %d", i+1))})
	}
	for _, c := range w.caches {
		c.boot()
	}
	for _, g := range w.gateways {
		g.boot()
	}
	w.feed.assign()
}

// maxSteps bounds a schedule's hostile part.
const maxSteps = 300

func (w *world) play() {
	for w.steps = 0; w.steps < maxSteps && w.violation == ""; w.steps++ {
		switch n := w.choices.below(100); {
		case n < 7:
			w.attack()
		case n < 16:
			w.demand()
		default:
			w.proceed()
		}
		w.now += int64(w.choices.below(25))
	}
}

// proceed lets one thing go on by one step: a task, or what servers do by themselves.
func (w *world) proceed() {
	ready := w.ready()
	if w.choices.below(3) > 0 { // what browsers and messages wait for, rather than what goes on for ever
		if busy := slices.DeleteFunc(slices.Clone(ready), func(t *task) bool { return t.background }); len(busy) > 0 {
			ready = busy
		}
	}
	n := w.choices.below(len(ready) + 1)
	if n == len(ready) {
		w.redis.replicate()
		return
	}
	ready[n].run()
}

// demand is what the world outside asks for.
func (w *world) demand() {
	switch n := w.choices.below(10); {
	case n < 3:
		if w.steps < maxSteps*2/3 {
			w.origin.change()
		}
	default:
		g := w.gateways[w.choices.below(gateways)]
		if g.up {
			g.request(w.origin.keys[w.choices.below(documents)])
		}
	}
}

// violate ends the schedule.
func (w *world) violate(invariant int, format string, args ...any) {
	if w.violation == "" {
		w.violation = fmt.Sprintf("invariant %d: ", invariant) + fmt.Sprintf(format, args...)
		w.say("VIOLATION of %s", w.violation)
	}
}

// at is a time of the model as the processes see it.
func at(ms int64) time.Time { return time.UnixMilli(1_800_000_000_000 + ms) }
