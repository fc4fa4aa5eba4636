package cache

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// outcome is what became of one product.
type outcome uint8

const (
	// later: nothing yet; something it needs is busy or away.
	later outcome = iota
	// shaky: nothing yet; Redis did not answer for it, and does for others.
	shaky
	pulled
	present
	absent
	failed
)

// String returns the word used in metrics.
func (o outcome) String() string {
	return [...]string{"later", "shaky", "pulled", "present", "absent", "failed"}[o]
}

// batchResult is what one call of a batch came to, in the order of its ids.
type batchResult struct {
	outcomes []outcome
	related  int   // documents reached from them that are settled, too
	busy     error // why some are for later, nil if none is
	fault    error // why some are shaky or have failed, nil if none is or has
}

const (
	// retryRounds is how often the products that failed are tried again at the
	// end, in smaller batches each time, so that one that spoils its batch fails
	// alone at last. The pause before doubles from retryPause on: 1, 2, 4 s, which
	// outlasts the failover of a Redis master.
	retryRounds = 3
	retryPause  = time.Second
	// shakyTries is how often what is shaky is tried before it counts as failed,
	// the first time through the plan. The pauses between take the load off Redis.
	shakyTries = 5
	// progressInterval is how often the log tells of it, and rateSpan over how
	// many of these the rate is taken.
	progressInterval = time.Second
	rateSpan         = 5
)

// walk takes one generation through its plan, some batches at a time. What it
// has done is saved as often as it moves on, one save at a time, and never holds
// up the batches; a save that fails ends it.
type walk struct {
	ids      []int64
	parallel int
	size     int // products in a batch
	batch    func(ctx context.Context, ids []int64) batchResult
	save     func(ctx context.Context, s prewarmState) error
	log      *slog.Logger

	mu      sync.Mutex
	state   prewarmState
	next    int              // the batch of this round that is to be counted next
	ahead   map[int]finished // those that ended before it, by number
	waiting int              // batches that give way
	handled int              // products, by this process
	samples []sample         // of handled, the oldest first
	moved   chan struct{}    // there is something to save
}

// finished is a batch with the places of its products and their outcomes.
type finished struct {
	places   []int
	outcomes []outcome
	related  int
}

type sample struct {
	at      time.Time
	handled int
}

// run goes on where state stands and returns nil once the generation is finished
// and saved as such. Any error leaves it for another to go on with.
func (w *walk) run(ctx context.Context) error {
	w.moved = make(chan struct{}, 1)
	w.samples = []sample{{time.Now(), 0}}
	w.state.Waiting = "" // of who had it before
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet, hush := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { w.saveLoop(ctx, quiet, cancel) })
	beside.Go(func() { w.progressLoop(quiet) })
	err := w.rounds(ctx)
	hush()
	beside.Wait()
	if err != nil || ctx.Err() != nil {
		return context.Cause(ctx)
	}
	w.mu.Lock()
	w.state.Finished = time.Now().UnixMilli()
	w.state.Failing = nil
	w.mu.Unlock()
	return w.save(ctx, w.snapshot())
}

// rounds is the whole plan once, and then what has failed, a bounded number of
// times. Its error is the end of ctx.
func (w *walk) rounds(ctx context.Context) error {
	for {
		if err := w.pass(ctx); err != nil {
			return err
		}
		w.mu.Lock()
		round, left := w.state.Round, w.state.Failed
		w.mu.Unlock()
		if left == 0 || round == retryRounds {
			return nil
		}
		if err := pause(ctx, retryPause<<round); err != nil {
			return err
		}
		w.mu.Lock()
		w.state.Round++
		w.state.Cursor = 0
		w.mu.Unlock()
		w.note()
	}
}

// pass goes through the places of the present round from the cursor on.
func (w *walk) pass(ctx context.Context) error {
	w.mu.Lock()
	w.next, w.ahead = 0, map[int]finished{}
	round := w.state.Round
	var places []int
	for place := w.state.Cursor; place < len(w.ids); place++ {
		if round == 0 || w.state.failing(place) {
			places = append(places, place)
		}
	}
	w.mu.Unlock()

	g, working := errgroup.WithContext(ctx)
	g.SetLimit(w.parallel)
	number := 0
	for part := range slices.Chunk(places, max(1, w.size>>(3*round))) {
		n := number
		number++
		g.Go(func() error {
			f, err := w.settle(working, round, part)
			if err == nil {
				w.count(n, f)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil || ctx.Err() != nil {
		return context.Cause(ctx)
	}
	w.mu.Lock()
	w.state.Cursor = len(w.ids)
	w.mu.Unlock()
	w.note()
	return nil
}

// settle works on one batch until no product of it is for later. What it needs
// may be away for long: it asks again and again, more and more rarely.
func (w *walk) settle(ctx context.Context, round int, places []int) (finished, error) {
	f := finished{places: places, outcomes: make([]outcome, len(places))}
	rest := make([]int, len(places)) // of places
	for i := range rest {
		rest[i] = i
	}
	wait, tries := yieldPause, 0
	for ctx.Err() == nil {
		ids := make([]int64, len(rest))
		for i, j := range rest {
			ids[i] = w.ids[places[j]]
		}
		r := w.batch(ctx, ids)
		if ctx.Err() != nil { // what failed may have failed because of that
			break
		}
		f.related += r.related
		again := rest[:0]
		if slices.Contains(r.outcomes, shaky) {
			tries++
		}
		for i, j := range rest {
			switch f.outcomes[j] = r.outcomes[i]; {
			case r.outcomes[i] == shaky && (round > 0 || tries == shakyTries):
				f.outcomes[j] = failed
			case r.outcomes[i] == shaky, r.outcomes[i] == later:
				again = append(again, j)
			}
		}
		w.fault(r.fault)
		if len(again) == 0 {
			return f, nil
		}
		if len(again) < len(ids) {
			wait = yieldPause
		}
		rest = again
		why := r.busy
		if why == nil {
			why = r.fault
		}
		w.yield(ctx, wait/2+rand.N(wait/2), why)
		wait = min(2*wait, yieldPauseMax)
	}
	return f, context.Cause(ctx)
}

// How long a batch gives way when the origin is busy or something is away: the
// pause doubles, with jitter, from the first to the second.
const (
	yieldPause    = 50 * time.Millisecond
	yieldPauseMax = 5 * time.Second
)

// pause returns the cause of ctx when that ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// count moves the cursor on over every batch that follows it without a gap.
// Batches that ended out of turn wait for those before them: state never counts
// a product behind the cursor.
func (w *walk) count(number int, f finished) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handled += len(f.places)
	w.ahead[number] = f
	for {
		f, ok := w.ahead[w.next]
		if !ok {
			break
		}
		delete(w.ahead, w.next)
		w.next++
		for i, place := range f.places {
			w.state.count(place, f.outcomes[i])
		}
		w.state.Related += f.related
		w.state.Cursor = f.places[len(f.places)-1] + 1
	}
	w.note()
}

// fault keeps the reason of the latest failure for those who look.
func (w *walk) fault(err error) {
	if err == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state.Fault = brief(err)
}

// yield pauses one batch and tells why as long as any does.
func (w *walk) yield(ctx context.Context, d time.Duration, why error) {
	w.mu.Lock()
	w.waiting++
	w.state.Waiting = brief(why)
	w.mu.Unlock()
	_ = pause(ctx, d) // the caller looks at ctx
	w.mu.Lock()
	if w.waiting--; w.waiting == 0 {
		w.state.Waiting = ""
	}
	w.mu.Unlock()
}

func brief(err error) string { return fmt.Sprintf("%.300s", err.Error()) }

func (w *walk) note() { signal(w.moved) }

// signal leaves a note in a channel that holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// snapshot is the state of this moment, with nothing in it that changes later.
func (w *walk) snapshot() prewarmState {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if span := now.Sub(w.samples[0].at).Seconds(); span > 0 {
		w.state.Rate = float64(w.handled-w.samples[0].handled) / span
	}
	w.state.Updated = now.UnixMilli()
	s := w.state
	s.Failing = slices.Clone(s.Failing)
	return s
}

// saveLoop saves until quiet ends, and no save is cut off by that: a write whose
// fate is not known would make the last one look like that of another process.
func (w *walk) saveLoop(ctx, quiet context.Context, fail context.CancelCauseFunc) {
	for {
		select {
		case <-quiet.Done():
			return
		case <-w.moved:
		}
		if err := w.save(ctx, w.snapshot()); err != nil && ctx.Err() == nil {
			fail(err)
			return
		}
	}
}

func (w *walk) progressLoop(ctx context.Context) {
	ticker := time.NewTicker(progressInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			s := w.snapshot()
			w.log.Info("prewarm", progress(s)...)
			w.mu.Lock()
			w.samples = append(w.samples, sample{now, w.handled})
			w.samples = w.samples[max(0, len(w.samples)-rateSpan):]
			w.mu.Unlock()
			w.note() // so that others see that it lives, and its rate
		}
	}
}

// progress is the state as log attributes.
func progress(s prewarmState) []any {
	list := []any{"generation", s.Generation, "done", s.done(), "of", s.Total, "pulled", s.Pulled, "present", s.Present,
		"absent", s.Absent, "failed", s.Failed, "related", s.Related, "perSecond", int(s.Rate)}
	if s.Round > 0 {
		list = append(list, "retry", s.Round)
	}
	if left, known := s.secondsLeft(); known {
		list = append(list, "secondsLeft", int(left+0.5))
	}
	if s.Waiting != "" {
		list = append(list, "waiting", s.Waiting)
	}
	if s.Fault != "" {
		list = append(list, "fault", s.Fault)
	}
	return list
}

// secondsLeft is how long this round still takes at the present rate.
func (s *prewarmState) secondsLeft() (seconds float64, known bool) {
	if s.Rate <= 0 || s.Finished != 0 {
		return 0, false
	}
	return float64(s.left()) / s.Rate, true
}
