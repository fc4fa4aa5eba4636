package gateway

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"eshop/pkg/accesslog"
	"eshop/pkg/hotlist"
	"eshop/pkg/ring"
)

// warm is the start of a gateway: before it joins the others it loads what will
// be asked of it, so that the share of the products that moves to it does not
// arrive at an empty cache.
type warm struct {
	done chan struct{} // closed when the gateway may join, warm or not
	// Pages to be made and made so far; of is -1 until it is known.
	pages, of atomic.Int64
	failed    atomic.Int64 // of those made: could not be had
	took      atomic.Int64 // nanoseconds, once it is done
}

func newWarm() *warm {
	w := &warm{done: make(chan struct{})}
	w.of.Store(-1)
	return w
}

// ready is the condition of readiness; its reason shows the progress.
func (w *warm) ready(context.Context) error {
	select {
	case <-w.done:
		return nil
	default:
	}
	if of := w.of.Load(); of >= 0 {
		return fmt.Errorf("%s of %s pages", grouped(w.pages.Load()), grouped(of))
	}
	return errors.New("waiting for ZooKeeper to tell which pages are wanted")
}

// grouped writes 1200 as "1,200".
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// runWarm warms up, lets the gateway join, and waits for the end.
func (r *Role) runWarm(ctx context.Context) error {
	start := time.Now()
	err := r.warmUp(ctx)
	r.warm.took.Store(int64(time.Since(start)))
	log := r.log.With("pages", r.warm.pages.Load(), "of", max(0, r.warm.of.Load()), "failed", r.warm.failed.Load(), "took", time.Since(start).Round(time.Millisecond))
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		log.Warn("this gateway joins without being warm", "err", err)
	case r.warm.failed.Load() > 0:
		log.Warn("this gateway joins without some of the pages it will own")
	default:
		log.Info("this gateway is warm and joins")
	}
	close(r.warm.done)
	<-ctx.Done()
	return nil
}

// maxWarm bounds the products that a gateway looks at when it joins.
const maxWarm = 100_000

// warmUp loads what this gateway will own, and what is hot or pinned, in the
// order of the ranking. It gives up after the time that the configuration
// allows, whatever is missing then: a gateway must not stay away for good.
func (r *Role) warmUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.cfg.WarmTimeout, errors.New("the time for it is up"))
	defer cancel()
	members, err := r.gateways.Await(ctx)
	if err != nil {
		return err
	}
	select {
	case <-r.degraded.state.Heard():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := r.degraded.forbids(accesslog.Kind); err != nil {
		return err
	}
	client := hotlist.New(hotlist.Deps{Session: r.zk, Log: r.log})
	tops, err := client.ReadTops(ctx)
	if err != nil {
		return err
	}
	view, err := client.ReadView(ctx)
	if err != nil {
		return err
	}
	after := ring.New(append(members.Members(), *r.self), 0)
	return r.warmPages(ctx, r.wanted(hotlist.Ranking(tops, view, maxWarm), view, after))
}

// wanted leaves those products of a ranking that a gateway serves itself once it
// is one of the members of a ring.
func (r *Role) wanted(ranking []int64, view *hotlist.View, after *ring.Ring) []int64 {
	var ids []int64
	for _, id := range ranking {
		_, hot := view.Hot[id]
		if m, ok := after.Owner(ring.Hash(accesslog.Kind, id)); hot || ok && m.ID == r.cfg.ID {
			ids = append(ids, id)
		}
	}
	return ids
}
