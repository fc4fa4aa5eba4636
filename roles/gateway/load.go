package gateway

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"eshop/pkg/coalesce"
	"eshop/pkg/docapi"
	"eshop/pkg/tracing"
)

// answer is the outcome of a load: a page, or the knowledge that there is none.
type answer struct {
	page  *page   // nil: the root document does not exist
	deps  []*flag // the root document's, also when it does not exist, and those of the related ones
	sure  []*flag // those of them that were current when they were read
	layer layer   // the farthest level that was asked
	// stale: built from a copy that could not be checked; partial: a related
	// document could not be had. Such a page is not kept (5).
	stale, partial bool
	stored         bool // in L1
	missing        bool // a related document that the request named does not exist
}

// loaded is what a load gave for one page.
type loaded struct {
	*answer
	err error
}

// load brings a page into L1 and returns it; one load for each key at a time
// (invariant 7). It serves misses, refreshes and revalidations alike: documents
// that turn out to be unchanged renew the page that is there.
func (r *Role) load(ctx context.Context, key pageKey) (*answer, error) {
	l := r.loadMany(ctx, []pageKey{key})[0]
	return l.answer, l.err
}

// loadMany is load for several pages, in their order. Those that nobody loads yet
// read their documents together.
func (r *Role) loadMany(ctx context.Context, keys []pageKey) []loaded {
	out := make([]loaded, len(keys))
	open := all(len(keys))
	for round := 1; len(open) > 0; round++ {
		var again []int
		for n, got := range r.loadOnce(ctx, pick(keys, open)) {
			i, a, err := open[n], got.Value, got.Err
			// Who joins a load at its very end, or has waited for other pages since his
			// was there, may have heard of a change, or of a deletion, that came after
			// the load had looked for one.
			switch {
			case err != nil || !got.Shared && len(keys) == 1 || !r.dead(a) && (a.stale || !a.overtaken()):
			case round < rounds:
				again = append(again, i)
				continue
			case r.dead(a) || a.page == nil:
				a, err = nil, fmt.Errorf("load the page %s: %w", r.router.target(keys[i]), errChanging)
			default:
				marked := *a // others have the same answer
				marked.stale = true
				a = &marked
			}
			out[i] = loaded{a, err}
		}
		open = again
	}
	return out
}

// all lists the places of n things.
func all(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func (r *Role) loadOnce(ctx context.Context, keys []pageKey) []coalesce.Result[*answer] {
	out := r.loads.DoMany(ctx, keys, r.buildTraced)
	logged := false
	for i, got := range out {
		if got.Shared {
			r.metrics.coalesced.Inc()
			tracing.Current(ctx).Set(tracing.Shared(true))
		}
		if errors.Is(got.Err, coalesce.ErrOverloaded) {
			r.metrics.overloaded.Inc()
		}
		var panicked *coalesce.PanicError
		if !logged && errors.As(got.Err, &panicked) && !got.Shared {
			logged = true // it is one load
			r.log.ErrorContext(ctx, "a page load panicked", "page", r.router.target(keys[i]), "panic", panicked.Value, "stack", string(panicked.Stack))
		}
	}
	return out
}

func (a *answer) add(f found) {
	a.layer, a.stale = max(a.layer, f.layer), a.stale || f.stale
	a.deps = append(a.deps, f.flag)
	if !f.stale {
		a.sure = append(a.sure, f.flag)
	}
}

// overtaken reports whether one of the documents has changed since it was read.
func (a *answer) overtaken() bool { return anyOvertaken(a.sure) }

func anyOvertaken(deps []*flag) bool {
	return slices.ContainsFunc(deps, func(f *flag) bool { return f.state.Load() != live })
}

// dead reports whether one of the documents must not be served any more. A copy
// that L1 has given up since it was read hears of no change, but the floor does;
// the change may be a deletion.
func (r *Role) dead(a *answer) bool { return r.deadAny(a.deps) }

func (r *Role) deadAny(deps []*flag) bool {
	return slices.ContainsFunc(deps, func(f *flag) bool {
		return f.dead() || !f.absent && !r.floor.Admits(f.key, f.stamp) && !r.l1.index.holds(f)
	})
}

// retryAfter is how long a client should wait after a load that failed.
func retryAfter(err error) time.Duration {
	var u *docapi.Unavailable
	after := time.Second
	if errors.As(err, &u) && u.RetryAfter > 0 {
		after = u.RetryAfter
	}
	return after + rand.N(after/2+time.Second) // those who failed together come back one by one
}
