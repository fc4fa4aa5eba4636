package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/time/rate"

	"eshop/pkg/accesslog"
	"eshop/pkg/catalog"
	"eshop/pkg/hotlist"
	"eshop/pkg/rediscluster"
)

// prewarm fills Redis from the ranking of the products, one generation at a time
// in the whole fleet.
//
// Each cache process queues for one lock; the holder is the runner. It works off
// requests, goes on with what a former runner left unfinished, and asks itself
// for a generation when Redis is empty. Nothing depends on there being one runner
// only: documents are written by compare-and-set under tokens, and the nodes by
// version (see versioned).
type prewarm struct {
	r       *Role
	log     *slog.Logger
	hot     *hotlist.Client
	looked  chan struct{} // the topology of Redis has changed: look whether it is empty
	limiter *rate.Limiter
	size    int
}

func newPrewarm(r *Role) *prewarm {
	// At most a tenth of a second's worth at once: a low rate must not come in lumps.
	size := max(1, min(r.cfg.PrewarmBatch, r.cfg.PrewarmRate/10))
	return &prewarm{
		r: r, log: r.log, size: size, looked: make(chan struct{}, 1),
		hot:     hotlist.New(hotlist.Deps{Session: r.zk, Log: r.log}),
		limiter: rate.NewLimiter(rate.Limit(r.cfg.PrewarmRate), size),
	}
}

// run queues for the lock, again after each loss, until ctx ends.
func (p *prewarm) run(ctx context.Context) error {
	p.r.store.OnTopologyChange(func() { signal(p.looked) })
	for ctx.Err() == nil {
		if err := p.hold(ctx); err != nil && ctx.Err() == nil {
			p.log.Info("prewarms are left to other processes for a moment", "err", err)
			_ = pause(ctx, time.Second)
		}
	}
	return nil
}

// hold waits for the lock and works under it. A lost lock, even one that another
// process has got since, ends the work under way.
func (p *prewarm) hold(ctx context.Context) error {
	ticket, err := p.r.zk.Enqueue(ctx, "prewarm")
	if err != nil {
		return err
	}
	defer ticket.Release()
	if err := ticket.Wait(ctx); err != nil {
		return err
	}
	ctx, cancel := ticket.Context(ctx)
	defer cancel()
	requested := make(chan struct{}, 1)
	p.r.zk.WatchNode(ctx, requestNode, func([]byte, bool, int32) { signal(requested) })
	var due <-chan time.Time
	if p.r.cfg.PrewarmCheck > 0 {
		ticker := time.NewTicker(p.r.cfg.PrewarmCheck)
		defer ticker.Stop()
		due = ticker.C
		signal(p.looked)
	}
	for {
		if err := p.work(ctx, ticket.Token()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-requested:
			continue
		case <-due:
		case <-p.looked:
			if due == nil {
				continue
			}
		}
		if err := p.startIfEmpty(ctx); err != nil {
			return err
		}
	}
}

// work goes on with an unfinished generation and begins those asked for, until
// there is none.
func (p *prewarm) work(ctx context.Context, term int64) error {
	for {
		state, request := p.nodes()
		s, q, err := p.read(ctx, state, request)
		if err != nil {
			return err
		}
		switch {
		case s.unfinished():
			err = p.resume(ctx, term, state, s)
		case q.Generation > s.Generation:
			err = p.start(ctx, term, state, q)
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (p *prewarm) nodes() (state, request *versioned) {
	return newVersioned(p.r.zk, stateNode), newVersioned(p.r.zk, requestNode)
}

// read returns the state and the latest request. What cannot be read as such
// counts as not there: it will be written over.
func (p *prewarm) read(ctx context.Context, state, request *versioned) (s prewarmState, q prewarmRequest, err error) {
	if err := errors.Join(state.read(ctx), request.read(ctx)); err != nil {
		return s, q, err
	}
	if s, err = parsePrewarmState(state.data); err != nil {
		p.log.Warn("the state of the prewarm is lost", "err", err)
	}
	if q, err = parsePrewarmRequest(request.data); err != nil {
		p.log.Warn("a request for a prewarm is lost", "err", err)
	}
	return s, q, nil
}

// start begins a generation: first its plan, then a state that names the plan's
// version. A plan that another process wrote over belongs to no state.
func (p *prewarm) start(ctx context.Context, term int64, state *versioned, q prewarmRequest) error {
	ids, err := p.ranking(ctx)
	if err != nil {
		return err
	}
	plan := newVersioned(p.r.zk, planNode)
	if err := plan.read(ctx); err != nil {
		return err
	}
	if err := plan.write(ctx, encodePlan(q.Generation, ids)); err != nil {
		return err
	}
	now := time.Now().UnixMilli()
	s := prewarmState{Generation: q.Generation, By: q.By, Reason: q.Reason, Started: now, Updated: now,
		Runner: p.r.cfg.ID, Term: term, Plan: plan.version, Total: len(ids)}
	if err := state.write(ctx, s.encode()); err != nil {
		return err
	}
	p.log.Info("prewarm begins", "generation", s.Generation, "of", s.Total, "reason", s.Reason, "by", s.By)
	return p.walk(ctx, state, s, ids)
}

// resume goes on at the cursor of the process that had the lock before.
func (p *prewarm) resume(ctx context.Context, term int64, state *versioned, s prewarmState) error {
	plan := newVersioned(p.r.zk, planNode)
	if err := plan.read(ctx); err != nil {
		return err
	}
	generation, ids, err := parsePlan(plan.data)
	if err != nil || generation != s.Generation || plan.version != s.Plan || len(ids) != s.Total {
		p.log.Warn("the plan of an unfinished prewarm is lost, it begins anew", "generation", s.Generation, "err", err)
		return p.start(ctx, term, state, prewarmRequest{Generation: s.Generation, By: s.By, Reason: s.Reason})
	}
	p.log.Info("prewarm goes on", "generation", s.Generation, "at", s.Cursor, "of", s.Total, "round", s.Round, "former", s.Runner)
	s.Runner, s.Term = p.r.cfg.ID, term
	if err := state.write(ctx, s.encode()); err != nil { // from here on the former runner writes nothing
		return err
	}
	return p.walk(ctx, state, s, ids)
}

func (p *prewarm) walk(ctx context.Context, state *versioned, s prewarmState, ids []int64) error {
	p.r.metrics.prewarming.Set(1)
	defer p.r.metrics.prewarming.Set(0)
	f := newFiller(p.r, accesslog.Kind, ids, s.Started, p.size, p.limiter)
	w := &walk{ids: ids, parallel: p.r.cfg.PrewarmParallel, size: p.size, batch: f.batch, state: s, log: p.log}
	w.save = func(ctx context.Context, s prewarmState) error { return state.write(ctx, s.encode()) }
	if err := w.run(ctx); err != nil {
		return fmt.Errorf("prewarm generation %d: %w", s.Generation, err)
	}
	end := w.state
	took := time.Duration(end.Finished-end.Started) * time.Millisecond
	p.r.metrics.prewarmSeconds.Observe(took.Seconds())
	level := slog.LevelInfo
	if end.Failed > 0 {
		level = slog.LevelWarn
	}
	p.log.Log(ctx, level, "prewarm has ended", append(progress(end), "took", took)...)
	return nil
}

// ranking reads what is worth warming, the most wanted first.
func (p *prewarm) ranking(ctx context.Context) ([]int64, error) {
	if p.r.cat.Kind(accesslog.Kind) == nil { // nothing of what is counted is cached
		return nil, nil
	}
	tops, err := p.hot.ReadTops(ctx)
	if err != nil {
		return nil, err
	}
	view, err := p.hot.ReadView(ctx)
	if err != nil {
		return nil, err
	}
	return hotlist.Ranking(tops, view, p.r.cfg.PrewarmTop), nil
}

const (
	reasonCommand = "command"
	reasonEmpty   = "redis is empty"
	// emptySample products of the ranking, or fewer, tell whether Redis is empty;
	// a ranking of less than emptyLeast says too little.
	emptySample = 100
	emptyLeast  = 20
	// emptyRest is how long after the end of a generation none starts by itself: a
	// shop whose origin has none of the ranked products is not asked on and on.
	emptyRest = time.Minute
)

// startIfEmpty asks for a generation when nothing of the ranking is in Redis.
func (p *prewarm) startIfEmpty(ctx context.Context) error {
	state, request := p.nodes()
	s, _, err := p.read(ctx, state, request)
	if err != nil {
		return err
	}
	if rest := time.Since(time.UnixMilli(s.Finished)); rest >= 0 && rest < emptyRest { // below 0 another clock is ahead
		return nil
	}
	ids, err := p.ranking(ctx)
	if err != nil || len(ids) < emptyLeast {
		return err
	}
	var keys []catalog.Key
	for _, id := range spread(ids, emptySample) {
		keys = append(keys, catalog.Key{Kind: accesslog.Kind, ID: id})
	}
	for _, got := range p.r.store.GetMany(ctx, keys, rediscluster.FromMaster) {
		if got.Err != nil || got.Document.State != catalog.Absent {
			return nil
		}
	}
	_, _, err = p.request(ctx, reasonEmpty)
	return err
}

// spread picks at most n ids, evenly over the list.
func spread(ids []int64, n int) []int64 {
	if len(ids) <= n {
		return ids
	}
	picked := make([]int64, n)
	for i := range picked {
		picked[i] = ids[i*len(ids)/n]
	}
	return picked
}

// request asks for a generation, unless one is asked for or under way anywhere:
// then it returns the state of that one, and false. The request is a node, so
// that it outlives this process; the runner works it off. Its generation is taken
// anew for each attempt at the node, so that generations rise with its versions.
func (p *prewarm) request(ctx context.Context, reason string) (s prewarmState, asked bool, err error) {
	for {
		state, node := p.nodes()
		s, q, err := p.read(ctx, state, node)
		switch {
		case err != nil:
			return s, false, err
		case s.unfinished():
			return s, false, nil
		case q.Generation > s.Generation:
			return pending(q), false, nil
		}
		generation, err := p.r.zk.Token(ctx)
		if err != nil {
			return s, false, err
		}
		q = prewarmRequest{Generation: generation, By: p.r.cfg.ID, Reason: reason, At: time.Now().UnixMilli()}
		err = node.write(ctx, encodeJSON(q))
		if err == nil {
			return pending(q), true, nil
		}
		if !errors.Is(err, errOvertaken) {
			return s, false, err
		}
	}
}

// pending is the state of a generation that no process has begun yet.
func pending(q prewarmRequest) prewarmState {
	return prewarmState{Generation: q.Generation, By: q.By, Reason: q.Reason}
}
