package rediscluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"eshop/pkg/catalog"
	"eshop/pkg/tracing"
)

// Op is what a write does.
type Op int

const (
	// Put stores a document as it was pulled.
	Put Op = iota
	// Tombstone says that the origin no longer has the document.
	Tombstone
	// Force stores a document that wins although its version may be older.
	Force
	// ForceTombstone is a Tombstone that also ends what was forced before.
	ForceTombstone
)

// String returns the word used in the script and in metrics.
func (o Op) String() string {
	switch o {
	case Put:
		return "put"
	case Tombstone:
		return "tombstone"
	case Force:
		return "force"
	case ForceTombstone:
		return "force-tombstone"
	}
	return "op " + strconv.Itoa(int(o))
}

func (o Op) gone() bool { return o == Tombstone || o == ForceTombstone }

// Outcome is what a write came to.
type Outcome struct {
	// Accepted is false if what is stored is as new or newer.
	Accepted bool
	// Stored is the stamp in Redis after the call.
	Stored catalog.Stamp
	// Previous is what stood there before; a plain string counts as Live.
	Previous catalog.State
	// Changed: it was accepted and readers of the previous value would notice:
	// a live document got other bytes or a tombstone, or a tombstone a live one.
	// It is also set when the answer of an attempt was lost and a retry within
	// the call found the write done.
	//
	// After Write returned an error the write may still have happened. Then the
	// next one for the key may find the same bytes and say that nothing changed:
	// a caller that must tell others of a change has to do so whenever an
	// earlier attempt at it ended in an error, or in a crash.
	Changed bool
}

// WriteRequest is one write of WriteMany.
type WriteRequest struct {
	Op       Op
	Document catalog.Document
}

// WriteResult is the answer for one request of WriteMany.
type WriteResult struct {
	Outcome Outcome
	Err     error
}

// Write stores doc if its stamp is above the stored one. See the package
// comment for the rules. After an error the write may or may not have happened.
func (s *Store) Write(ctx context.Context, op Op, doc catalog.Document) (Outcome, error) {
	r := s.writeMany(ctx, "write", []WriteRequest{{op, doc}})[0]
	return r.Outcome, r.Err
}

// WriteMany makes many writes, one answer a request in their order, in one
// round trip for each 32. They are independent of each other.
func (s *Store) WriteMany(ctx context.Context, requests []WriteRequest) []WriteResult {
	return s.writeMany(ctx, "write-many", requests)
}

func (s *Store) writeMany(ctx context.Context, name string, requests []WriteRequest) []WriteResult {
	out := make([]WriteResult, len(requests))
	if len(requests) == 0 {
		return out
	}
	done := s.metrics.start(name)
	ctx, span := tracing.Start(ctx, tracing.Client, "redis compare-and-set")
	defer span.End()
	ctx, cancel := within(ctx, s.cfg.WriteTimeout, len(requests), maxWrites)
	defer cancel()
	ctx, attempts := withAmbiguity(ctx)

	calls := make([]call, 0, len(requests))
	for i, r := range requests {
		kind, key, err := s.check(r)
		if err != nil {
			out[i].Err = fmt.Errorf("write %v to redis: %w", r.Document.Key, err)
			continue
		}
		calls = append(calls, call{at: i, kind: kind, key: key, args: Arguments(r, s.ttl())})
	}
	s.run(ctx, calls)
	var old []call
	for _, c := range calls {
		outcome, body, err := decodeOutcome(c.cmd)
		if err == nil && body != nil {
			// A tombstone over a plain string takes the version out of it.
			if v, f, err := c.kind.VersionOf(body); err == nil {
				c.args[1], c.args[3] = strconv.FormatInt(v, 10), f
			}
			c.args[7] = "1"
			old = append(old, c)
			continue
		}
		out[c.at] = s.result(requests[c.at], outcome, err, attempts)
	}
	if len(old) > 0 {
		s.run(ctx, old)
		for _, c := range old {
			outcome, _, err := decodeOutcome(c.cmd)
			out[c.at] = s.result(requests[c.at], outcome, err, attempts)
		}
	}
	var err error
	for i, r := range out {
		s.metrics.wrote(requests[i].Op, r)
		if r.Err != nil {
			err = r.Err
		}
	}
	done(err)
	if span.On() {
		span.Fail(err)
		span.Set(tracing.Redis("EVALSHA", len(requests), FromMaster.String())...)
		keys := make([]catalog.Key, len(requests))
		for i, r := range requests {
			keys[i] = r.Document.Key
		}
		if span.Set(tracing.Documents(keys)); len(out) == 1 && err == nil {
			span.Set(tracing.Stamp(out[0].Outcome.Stored), tracing.Version(out[0].Outcome.Stored.Version), tracing.Outcome(outcomeOf(out[0])))
		}
	}
	return out
}

func (s *Store) result(r WriteRequest, o Outcome, err error, attempts *ambiguity) WriteResult {
	if err != nil {
		st := r.Document.Stamp
		return WriteResult{Err: fmt.Errorf("write %v to redis (%v, version %d, token %d): %w", r.Document.Key, r.Op, st.Version, st.Token, s.cfg.explain(err))}
	}
	if attempts.lost.Load() {
		var own bool
		if o, own = o.AfterLostAnswer(r); own {
			s.metrics.ambiguous.Inc()
		}
	}
	return WriteResult{Outcome: o}
}

func (s *Store) check(r WriteRequest) (*catalog.Kind, string, error) {
	kind, key, err := s.key(r.Document.Key)
	if err != nil {
		return nil, "", err
	}
	st := r.Document.Stamp
	switch {
	case r.Op < Put || r.Op > ForceTombstone:
		return nil, "", fmt.Errorf("%v is unknown", r.Op)
	case st.Epoch < 0 || st.Version < 0 || st.Token < 0:
		return nil, "", fmt.Errorf("the stamp %v has a negative part", st)
	case !r.Op.gone() && len(r.Document.Body) == 0:
		return nil, "", errors.New("a live document has no body")
	}
	return kind, key, nil
}

// call is one run of the script: at is its place in the answer.
type call struct {
	at   int
	kind *catalog.Kind
	key  string
	args []any
	cmd  *redis.Cmd
}

func (s *Store) ttl() time.Duration {
	return time.Duration(float64(s.life.Load()) * (1 + s.cfg.TTLJitter*(2*rand.Float64()-1)))
}

// maxWrites bounds one pipeline. A node's timeout of 300 ms covers all its
// answers, and the embedded server may take some ms for each on a busy machine.
const maxWrites = 32

// run executes the calls in pipelines, by the script's hash; those whose server
// does not know it yet (its first time, or it was restarted) once more with the
// text.
func (s *Store) run(ctx context.Context, calls []call) {
	for part := range slices.Chunk(calls, maxWrites) {
		pipe := s.masters.Pipeline()
		for i := range part {
			part[i].cmd = s.script.EvalSha(ctx, pipe, []string{part[i].key}, part[i].args...)
		}
		_, _ = pipe.Exec(ctx) // each command carries its own error
		pipe = s.masters.Pipeline()
		for i := range part {
			if err := part[i].cmd.Err(); err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
				part[i].cmd = s.script.Eval(ctx, pipe, []string{part[i].key}, part[i].args...)
			}
		}
		if pipe.Len() > 0 {
			_, _ = pipe.Exec(ctx)
		}
	}
}

// Discard removes what Redis holds for a key, with its stamp. It is for a
// document of which no reader has ever heard: with the stamp of any other one an
// older copy could come back.
func (s *Store) Discard(ctx context.Context, key catalog.Key) error {
	ctx, cancel := within(ctx, s.cfg.WriteTimeout, 1, 1)
	defer cancel()
	_, name, err := s.key(key)
	if err == nil {
		err = s.masters.Del(ctx, name).Err()
	}
	if err != nil {
		return fmt.Errorf("discard %v in redis: %w", key, err)
	}
	return nil
}
