package lifecycle

import (
	"context"
	"sync"
	"time"
)

// Requirement is something that must have been met once before a process takes
// traffic.
type Requirement struct {
	Name string
	// Met returns nil when it is met, else why not; it ends with ctx.
	Met func(ctx context.Context) error
}

// Times of Await: between two looks, and the longest that one may take.
const (
	awaitEvery = 100 * time.Millisecond
	awaitLimit = 2 * time.Second
)

// Expect states conditions that nobody has looked at yet. A part of a process
// calls it when it is made: a condition that is first heard of when the part
// runs would leave a moment in which the process seems ready without it.
func (r *Ready) Expect(names ...string) {
	for _, name := range names {
		r.Set(name, false, "not looked at yet")
	}
}

// Await keeps one condition for each requirement and looks at it until it is
// met. From then on it holds for good: a dependency that goes away later is
// survived, and if all processes went unready together there would be nobody
// left to serve. It returns when ctx ends.
func (r *Ready) Await(ctx context.Context, wanted ...Requirement) error {
	for _, w := range wanted {
		r.Expect(w.Name)
	}
	var wg sync.WaitGroup
	for _, w := range wanted {
		wg.Go(func() {
			tick := time.NewTicker(awaitEvery)
			defer tick.Stop()
			for !r.look(ctx, w) {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
			}
		})
	}
	wg.Wait()
	<-ctx.Done()
	return nil
}

func (r *Ready) look(ctx context.Context, w Requirement) bool {
	ctx, cancel := context.WithTimeout(ctx, awaitLimit)
	defer cancel()
	if err := w.Met(ctx); err != nil {
		r.Set(w.Name, false, err.Error())
		return false
	}
	r.Set(w.Name, true, "")
	return true
}
