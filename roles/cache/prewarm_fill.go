package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"eshop/pkg/catalog"
	"eshop/pkg/invalidation"
	"eshop/pkg/origin"
	"eshop/pkg/rediscluster"
)

// filler brings the documents of one generation into Redis.
type filler struct {
	r       *Role
	kind    string
	started int64         // unix ms
	size    int           // documents at a time, for what belongs to the products
	limit   *rate.Limiter // of documents asked of the origin
	singles chan struct{} // held by the one call for a kind without a batch form
	probes  []catalog.Key // documents all over Redis, by which is seen whether it is there at all

	related []string // kinds that the pages of this kind show with it…
	fields  []string // …and where its body names their ids

	mu   sync.Mutex
	seen map[catalog.Key]struct{} // related documents that were or are being seen to
}

// newFiller is for a plan of these ids, size documents at a time, which limit must let through at once.
func newFiller(r *Role, kind string, ids []int64, started int64, size int, limit *rate.Limiter) *filler {
	f := &filler{r: r, kind: kind, started: started, size: size, limit: limit, singles: make(chan struct{}, 1), seen: map[catalog.Key]struct{}{}}
	for _, id := range spread(ids, 16) {
		f.probes = append(f.probes, catalog.Key{Kind: kind, ID: id})
	}
	for _, p := range r.cat.Pages() {
		for _, name := range p.Related {
			if p.Root == kind && !slices.Contains(f.related, name) {
				f.related, f.fields = append(f.related, name), append(f.fields, r.cat.Kind(name).Field)
			}
		}
	}
	return f
}

// batch sees to some products, and to what belongs to them: a product is done
// when that is done, too.
func (f *filler) batch(ctx context.Context, ids []int64) batchResult {
	keys := make([]catalog.Key, len(ids))
	for i, id := range ids {
		keys[i] = catalog.Key{Kind: f.kind, ID: id}
	}
	found := f.documents(ctx, keys)
	owners := map[catalog.Key][]int{} // the products of this batch that a related document is seen to for
	var more []catalog.Key
	for i := range found {
		for _, key := range f.relatedTo(found[i].body) {
			if _, mine := owners[key]; mine || f.claim(key) {
				if !mine {
					more = append(more, key)
				}
				owners[key] = append(owners[key], i)
			}
		}
	}
	var r batchResult
	for part := range slices.Chunk(more, f.size) {
		for i, rel := range f.documents(ctx, part) {
			f.note(rel.outcome)
			if rel.outcome >= pulled && rel.outcome != failed {
				r.related++
				continue
			}
			f.unclaim(part[i])
			for _, owner := range owners[part[i]] {
				if p := &found[owner]; p.outcome >= pulled {
					p.outcome, p.err = rel.outcome, rel.err
				}
			}
		}
	}
	r.outcomes = make([]outcome, len(ids))
	for i, d := range found {
		f.note(d.outcome)
		switch r.outcomes[i] = d.outcome; d.outcome {
		case later:
			r.busy = d.err
		case shaky, failed:
			r.fault = d.err
		}
	}
	return r
}

func (f *filler) note(o outcome) {
	if o >= pulled {
		f.r.metrics.prewarmed.WithLabelValues(o.String()).Inc()
	}
}

// relatedTo reads the ids of related documents from a body.
func (f *filler) relatedTo(body []byte) (keys []catalog.Key) {
	if len(f.related) == 0 || body == nil {
		return nil
	}
	values, err := catalog.TopLevel(body, f.fields)
	if err != nil {
		return nil // Redis holds no object under the key; its page is the gateway's problem
	}
	for i, v := range values {
		if id, ok := catalog.RawID(v); ok {
			keys = append(keys, catalog.Key{Kind: f.related[i], ID: id})
		}
	}
	return keys
}

func (f *filler) claim(key catalog.Key) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, taken := f.seen[key]
	f.seen[key] = struct{}{}
	return !taken
}

func (f *filler) unclaim(key catalog.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.seen, key)
}

// filled is what became of one document.
type filled struct {
	outcome outcome
	body    []byte // of a live one
	err     error  // of one that failed, or is not done yet
}

// pulling is a document on its way from the origin.
type pulling struct {
	at     int // its place in the answer
	key    catalog.Key
	min    catalog.Stamp // the floor when it was looked at
	stored catalog.Document
}

var errAnnouncements = errors.New("too many announcements wait for Kafka")

// documents sees to some keys: those that Redis has, young enough, stay as they
// are; for the others the order is that of every writer (invariant 2): one token
// for all, then the pulls, then compare-and-set. A change that is handled
// meanwhile has a higher token, or was visible to the pull.
func (f *filler) documents(ctx context.Context, keys []catalog.Key) []filled {
	out := make([]filled, len(keys))
	for _, key := range keys {
		if err := f.r.paused(key.Kind); err != nil {
			for i := range out {
				out[i] = filled{err: err}
			}
			return out
		}
	}
	work := f.look(ctx, keys, out)
	if len(work) == 0 {
		return out
	}
	postpone := func(err error) []filled {
		for _, p := range work {
			out[p.at] = filled{err: err}
		}
		return out
	}
	// Half of the queue stays free for what readers have to announce.
	if len(f.r.announcements) > announceQueue/2 {
		return postpone(errAnnouncements)
	}
	// All waiting comes before the token: the older it is, the more writers overtake it.
	release, err := f.turn(ctx, work)
	if err != nil {
		return postpone(err)
	}
	defer release()
	token, err := f.r.zk.Token(ctx)
	if err != nil {
		return postpone(err)
	}
	all := make([]catalog.Key, len(work))
	for i, p := range work {
		all[i] = p.key
	}
	pulls, err := f.r.origin.PullMany(ctx, all)
	if err != nil {
		return postpone(err)
	}
	f.write(ctx, token, work, pulls, out)
	return out
}

// look reads the masters and returns the keys that have to be pulled. What cannot
// be read is shaky, unless all of Redis is away: then it is for later.
func (f *filler) look(ctx context.Context, keys []catalog.Key, out []filled) (work []pulling) {
	mins := make([]catalog.Stamp, len(keys))
	for i, key := range keys {
		mins[i] = f.r.floor.Of(key)
	}
	var unread []int
	now := time.Now()
	for i, got := range f.r.store.GetMany(ctx, keys, rediscluster.FromMaster) {
		doc := got.Document
		// By an earlier try, by who had this generation before, or by a reader.
		since := !doc.Pulled.IsZero() && doc.Pulled.UnixMilli() >= f.started
		young := since || !doc.Pulled.IsZero() && now.Before(doc.Pulled.Add(jitter(f.r.refreshAfter())))
		switch {
		case got.Err != nil:
			out[i] = filled{outcome: shaky, err: got.Err}
			unread = append(unread, i)
		case doc.State == catalog.Absent || doc.Stamp.Less(mins[i]) || !young:
			work = append(work, pulling{at: i, key: keys[i], min: mins[i], stored: doc})
		case doc.State == catalog.Tombstone:
			out[i] = filled{outcome: absent}
		case since:
			out[i] = filled{outcome: pulled, body: doc.Body}
		default:
			out[i] = filled{outcome: present, body: doc.Body}
		}
	}
	if len(unread) == len(keys) && f.redisAway(ctx) {
		for _, i := range unread {
			out[i].outcome = later
		}
	}
	return work
}

// redisAway reports whether no document of the plan can be read. A part of Redis
// that is lost for good must not hold up the rest for ever.
func (f *filler) redisAway(ctx context.Context) bool {
	for _, got := range f.r.store.GetMany(ctx, f.probes, rediscluster.FromMaster) {
		if got.Err == nil {
			return false
		}
	}
	return true
}

// turn waits until the rate allows for the work. Kinds without a batch form are
// pulled by one call at a time, which ends with release: each takes up to a
// quarter of what the origin may get at once, and the rest is for readers.
func (f *filler) turn(ctx context.Context, work []pulling) (release func(), err error) {
	release = func() {}
	if slices.ContainsFunc(work, func(p pulling) bool { return f.r.cat.Kind(p.key.Kind).BatchURL == "" }) {
		select {
		case f.singles <- struct{}{}:
			release = func() { <-f.singles }
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if err := f.limit.WaitN(ctx, len(work)); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// write stores what was pulled, by the rules of a read's pull.
func (f *filler) write(ctx context.Context, token int64, work []pulling, pulls []origin.ResultOrErr, out []filled) {
	var requests []rediscluster.WriteRequest
	var written []pulling
	for i, p := range work {
		got := pulls[i]
		if got.Err != nil {
			out[p.at] = filled{outcome: failed, err: got.Err}
			if errors.Is(got.Err, origin.ErrOverloaded) || errors.Is(got.Err, origin.ErrOpen) || errors.Is(got.Err, origin.ErrHeld) {
				out[p.at].outcome = later
			}
			continue
		}
		q := rediscluster.WriteRequest{Op: rediscluster.Put, Document: document(p.key, got.Result, catalog.Stamp{Epoch: p.min.Epoch, Token: token})}
		if got.State == catalog.Absent {
			if p.stored.State == catalog.Absent && p.min.IsZero() {
				out[p.at] = filled{outcome: absent} // nothing to replace: an unknown id costs Redis nothing
				continue
			}
			q.Op, q.Document.Stamp.Version = rediscluster.Tombstone, p.min.Version
		}
		requests, written = append(requests, q), append(written, p)
	}
	for i, w := range f.r.store.WriteMany(ctx, requests) {
		p, doc := written[i], requests[i].Document
		out[p.at] = f.stored(p, doc, w)
	}
}

// stored says what a write came to, and tells the fleet of what it replaced.
func (f *filler) stored(p pulling, doc catalog.Document, w rediscluster.WriteResult) filled {
	if w.Err != nil {
		return filled{outcome: shaky, err: w.Err}
	}
	now := w.Outcome.Stored
	state := catalog.Live
	if doc.State == catalog.Absent {
		state = catalog.Tombstone
	}
	if w.Outcome.Changed {
		f.r.announceLater(context.Background(), catalog.Invalidation{Key: p.key, Stamp: now, State: state.String()})
	}
	switch {
	case now.Less(p.min):
		return filled{outcome: failed, err: fmt.Errorf("the origin shows %v of %v, %v has been announced", now, p.key, p.min)}
	case !w.Outcome.Accepted: // another writer was faster, or Redis holds a version that the origin went back behind
		return filled{outcome: present, body: doc.Body}
	case p.stored.Stamp.Less(p.min):
		f.r.metrics.repairs.Done(invalidation.Repair{Key: p.key, Cause: invalidation.ByPrewarm, Found: p.stored.Stamp, Expected: p.min})
	}
	if state == catalog.Tombstone {
		return filled{outcome: absent}
	}
	return filled{outcome: pulled, body: doc.Body}
}
