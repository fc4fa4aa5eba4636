package rediscluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"eshop/pkg/catalog"
	"eshop/pkg/tracing"
)

// From says which copy of a document is read.
type From int

const (
	// FromReplica reads a replica of the slot. If that has nothing or fails,
	// the master is asked.
	FromReplica From = iota
	// FromMaster reads the master.
	FromMaster
)

// String returns the word used in traces.
func (f From) String() string {
	if f == FromMaster {
		return "master"
	}
	return "replica"
}

// Result is the answer for one key of GetMany.
type Result struct {
	Document catalog.Document
	Err      error
}

// Get reads one document. A missing key is a Document with the state
// catalog.Absent and no error.
func (s *Store) Get(ctx context.Context, key catalog.Key, from From) (catalog.Document, error) {
	r := s.getMany(ctx, "get", []catalog.Key{key}, from)[0]
	return r.Document, r.Err
}

// GetMany reads documents, one answer a key in the order of keys. All keys of
// one node travel in one pipeline and the nodes are asked at the same time, so
// it takes one round trip (for each 256 keys); keys that a replica does not
// have, or cannot answer for, take a second one to the masters.
func (s *Store) GetMany(ctx context.Context, keys []catalog.Key, from From) []Result {
	return s.getMany(ctx, "get-many", keys, from)
}

func (s *Store) getMany(ctx context.Context, op string, keys []catalog.Key, from From) []Result {
	out := make([]Result, len(keys))
	if len(keys) == 0 {
		return out
	}
	done := s.metrics.start(op)
	ctx, span := tracing.Start(ctx, tracing.Client, "redis "+op)
	defer span.End()
	ctx, cancel := within(ctx, s.cfg.ReadTimeout, len(keys), maxReads)
	defer cancel()

	asked := make([]lookup, 0, len(keys))
	for i, k := range keys {
		out[i].Document = catalog.Document{Key: k}
		kind, name, err := s.key(k)
		if err != nil {
			out[i].Err = fmt.Errorf("read %v from redis: %w", k, err)
			continue
		}
		asked = append(asked, lookup{at: i, kind: kind, name: name})
	}
	if from == FromReplica {
		s.ask(ctx, s.reads, asked, out)
		again := asked[:0]
		for _, l := range asked {
			switch r := out[l.at]; {
			case r.Err != nil:
				s.metrics.fallbacks.WithLabelValues("error").Inc()
			case r.Document.State == catalog.Absent:
				s.metrics.fallbacks.WithLabelValues("absent").Inc()
			default:
				continue
			}
			again = append(again, l)
		}
		asked = again
	}
	if from == FromReplica && len(asked) > 0 {
		span.Event("the master is asked for what a replica does not have")
	}
	s.ask(ctx, s.masters, asked, out)
	var err error
	for i := range out {
		if out[i].Err != nil {
			err = out[i].Err
		}
	}
	done(err)
	if span.On() {
		span.Set(tracing.Redis("HMGET", len(keys), from.String())...)
		if span.Set(tracing.Documents(keys)); len(keys) == 1 {
			span.Set(tracing.Copy(out[0].Document)...)
		}
		span.Fail(err)
	}
	return out
}

// lookup is one key on its way: at is its place in the answer.
type lookup struct {
	at   int
	kind *catalog.Kind
	name string
}

// maxReads bounds one pipeline. The node timeout covers all its answers.
const maxReads = 256

// ask reads the documents of asked through c and puts the answers in out.
func (s *Store) ask(ctx context.Context, c *redis.ClusterClient, asked []lookup, out []Result) {
	for part := range slices.Chunk(asked, maxReads) {
		s.askPart(ctx, c, part, out)
	}
}

func (s *Store) askPart(ctx context.Context, c *redis.ClusterClient, asked []lookup, out []Result) {
	// While the replaced system's plain strings are about, each key is asked for
	// both ways at once: HMGET answers for a hash, GET for a string, and the
	// other one answers WRONGTYPE, which is cheap. Otherwise GET is sent only
	// after a WRONGTYPE.
	both := s.strings.recent(time.Now())
	pipe := c.Pipeline()
	hashes := make([]*redis.SliceCmd, len(asked))
	values := make([]*redis.StringCmd, len(asked))
	for i, l := range asked {
		hashes[i] = readHash(ctx, l.name)
		_ = pipe.Process(ctx, hashes[i]) // queued only
		if both {
			values[i] = pipe.Get(ctx, l.name)
		}
	}
	_, _ = pipe.Exec(ctx) // each command carries its own error
	var typed []int
	for i, l := range asked {
		fields, err := hashes[i].Result()
		switch {
		case err == nil:
			out[l.at] = s.decodeHash(ctx, out[l.at].Document.Key, fields)
		case !isWrongType(err):
			out[l.at].Err = readError(out[l.at].Document.Key, err)
		case both:
			out[l.at] = s.decodeString(ctx, l.kind, out[l.at].Document.Key, values[i])
		default:
			typed = append(typed, i)
		}
	}
	if len(typed) == 0 {
		return
	}
	s.strings.seen(time.Now())
	pipe = c.Pipeline()
	for _, i := range typed {
		values[i] = pipe.Get(ctx, asked[i].name)
	}
	_, _ = pipe.Exec(ctx)
	for _, i := range typed {
		l := asked[i]
		out[l.at] = s.decodeString(ctx, l.kind, out[l.at].Document.Key, values[i])
	}
}

// readHash is HMGET of a document's fields, whose names are not boxed for each call.
func readHash(ctx context.Context, name string) *redis.SliceCmd {
	return redis.NewSliceCmd(ctx, append([]any{"hmget", name}, hashArgs...)...)
}

func readError(k catalog.Key, err error) error {
	return fmt.Errorf("read %v from redis: %w", k, err)
}

func (s *Store) decodeHash(ctx context.Context, key catalog.Key, fields []any) Result {
	doc, err := ParseHash(key, fields)
	if err != nil {
		s.foreign(ctx, key, err)
	}
	return Result{Document: doc}
}

func (s *Store) decodeString(ctx context.Context, kind *catalog.Kind, key catalog.Key, cmd *redis.StringCmd) Result {
	body, err := cmd.Bytes()
	switch {
	case errors.Is(err, redis.Nil): // deleted since
		return Result{Document: catalog.Document{Key: key}}
	case err != nil && isWrongType(err): // neither a hash nor a string
		s.foreign(ctx, key, errNotDocument)
		return Result{Document: catalog.Document{Key: key}}
	case err != nil:
		return Result{Document: catalog.Document{Key: key}, Err: readError(key, err)}
	}
	s.strings.seen(time.Now())
	doc, err := decodeString(kind, key, body)
	if err != nil {
		s.foreign(ctx, key, err)
	}
	return Result{Document: doc}
}

// foreign notes a value that is no document. It counts as absent, so the next
// fill replaces it; the compare-and-set script does the same.
func (s *Store) foreign(ctx context.Context, key catalog.Key, err error) {
	s.metrics.foreign.Inc()
	s.log.WarnContext(ctx, "redis: the value is not a document and counts as absent", "key", key.String(), "error", err)
}

func isWrongType(err error) bool { return strings.HasPrefix(err.Error(), "WRONGTYPE") }
