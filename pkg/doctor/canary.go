package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/kafka"
	"eshop/pkg/rediscluster"
	"eshop/pkg/zookeeper"
)

// CanaryKind is a kind of documents that no configuration has: no role knows it,
// no page shows it, and its Redis keys are no other kind's.
const CanaryKind = "doctor-canary"

// canaryTTL is after how long Redis drops what a doctor left that was killed.
const canaryTTL = time.Minute

// canarySteps are the checks of the area, in their order.
func canarySteps() []string {
	return []string{"lock", "write", "guard", "read", "bus", "feed", "remove"}
}

// canary writes a document of its own the way the cache role does — lock, token,
// compare-and-set, announcement —, reads it back and removes it, and sends a
// message through the feed of the running cache processes. Everybody else takes
// no notice: the document is of a kind that nobody has, and what is sent on the
// bus is a heartbeat from so long ago that it moves no watermark.
func (d *doctor) canary(ctx context.Context, r Report, n *notes) {
	if !d.Canary {
		n.skip("--no-canary", canarySteps()...)
		return
	}
	if why := d.grounded(r); why != "" {
		n.skip(why, canarySteps()...)
		return
	}
	cat, err := canaryCatalog(d.Catalog)
	if err != nil {
		n.skip(err.Error(), canarySteps()...)
		return
	}
	f := &flight{doctor: d, n: n, id: newID(), caches: !slices.ContainsFunc(r.Findings, func(f Finding) bool {
		return f.Check == "zookeeper.members" && f.Severity != OK
	})}
	redis := d.Redis
	redis.TTL, redis.TTLJitter = canaryTTL, -1
	f.store, err = rediscluster.New(redis, cat, rediscluster.Deps{Log: d.log})
	if err == nil {
		defer f.store.Close()
		f.session, err = zookeeper.New(d.ZooKeeper, zookeeper.Deps{Log: d.log})
	}
	if err != nil {
		n.say(fail("the canary needs what the roles need", ""), "lock", "%v", err)
		n.skip("an earlier step failed", canarySteps()[1:]...)
		return
	}
	err = during(ctx, f.session.Run, func(ctx context.Context) error {
		f.fly(ctx)
		return nil
	})
	if err != nil {
		d.log.Warn("end the canary's session", "error", err)
	}
}

// grounded says what the canary lacks; empty: nothing.
func (d *doctor) grounded(r Report) string {
	needed := map[string]string{"redis.reachable": "", "redis.cluster": "", "kafka.reachable": "", "kafka.topic": d.TopicInvalidate,
		"zookeeper.reachable": "", "zookeeper.session": "", "zookeeper.root": ""}
	for _, f := range r.Findings {
		on, need := needed[f.Check]
		if !need || on != "" && f.On != "" && f.On != on { // what is skipped as a whole is about nothing
			continue
		}
		// Nodes that do not answer are no reason: the others may do.
		if f.Severity == Skipped || f.Severity == Failure && !strings.HasSuffix(f.Check, ".reachable") {
			return "the canary needs " + strings.TrimSpace(f.Check+" "+f.On)
		}
	}
	return ""
}

// canaryCatalog has the one kind more. Its documents are never pulled.
func canaryCatalog(from *catalog.Catalog) (*catalog.Catalog, error) {
	var kinds []catalog.Kind
	for _, name := range from.KindNames() {
		kinds = append(kinds, *from.Kind(name))
	}
	kinds = append(kinds, catalog.Kind{Name: CanaryKind, Prefix: "eshop-doctor-canary-", URL: "/{id}", VersionFields: []string{}})
	cat, err := catalog.New(kinds, from.Pages())
	if err != nil {
		return nil, fmt.Errorf("the canary's documents would be mistaken for others: %w", err)
	}
	return cat, nil
}

func newID() string {
	var raw [8]byte
	_, _ = rand.Read(raw[:]) // never fails
	return hex.EncodeToString(raw[:])
}

// flight is one canary.
type flight struct {
	*doctor
	n       *notes
	id      string
	caches  bool // cache processes run
	store   *rediscluster.Store
	session *zookeeper.Session
	failed  bool
}

// step runs one step, unless an earlier one has failed, and notes how long it took.
func (f *flight) step(check, why, mend string, do func() (found string, err error)) {
	if f.failed {
		f.n.skip("an earlier step failed", check)
		return
	}
	began := time.Now()
	found, err := do()
	if took := time.Since(began); err == nil {
		f.n.ok(check, "%s, %s", found, short(took))
		return
	}
	f.failed = true
	f.n.say(fail(why, mend), check, "%v", err)
}

func (f *flight) fly(ctx context.Context) {
	name := "doctor-canary-" + f.id
	stripe := zookeeper.LockPath(name)
	var ticket *zookeeper.Ticket
	fresh := false // the lock's parent was made for it
	f.step("lock", "no change is stored without a token", "", func() (string, error) {
		if err := f.session.Connected(ctx); err != nil {
			return "", err
		}
		_, _, err := f.session.Get(ctx, stripe)
		fresh = errors.Is(err, zookeeper.ErrNoNode)
		if ticket, err = f.session.Enqueue(ctx, name); err != nil {
			return "", err
		}
		return fmt.Sprintf("held, token %d", ticket.Token()), ticket.Wait(ctx)
	})
	key := catalog.Key{Kind: CanaryKind, ID: 1}
	wrote := false
	if ticket != nil {
		key.ID = ticket.Token() // of this ensemble, nobody else's
		wrote = f.document(ctx, key, ticket.Token())
		f.busAndFeed(ctx)
	} else {
		f.n.skip("an earlier step failed", "write", "guard", "read", "bus", "feed")
		f.n.skip("nothing was written", "remove")
		return
	}
	// Whatever came of it, and even if the time for it is over, it is taken away.
	f.failed = false
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	f.step("remove", "Redis drops the document after "+short(canaryTTL)+", ZooKeeper the node with the session", "", func() (string, error) {
		ticket.Release()
		if wrote {
			if err := f.store.Discard(last, key); err != nil {
				return "", err
			}
			if left, err := f.store.Get(last, key, rediscluster.FromMaster); err != nil || left.State != catalog.Absent {
				return "", errors.Join(errors.New("the document is still in Redis"), err)
			}
		}
		return "nothing is left", f.sweep(last, stripe, name, fresh)
	})
}

// document writes, tries to write something older over it, and reads back.
func (f *flight) document(ctx context.Context, key catalog.Key, token int64) (wrote bool) {
	doc := catalog.Document{Key: key, State: catalog.Live, Body: []byte(`{"canary":"` + f.id + `"}`), Stamp: catalog.Stamp{Token: token}, Pulled: time.Now()}
	f.step("write", "changes are not stored; they wait", "", func() (string, error) {
		wrote = true // or may have, after an error
		out, err := f.store.Write(ctx, rediscluster.Put, doc)
		if err == nil && !out.Accepted {
			err = fmt.Errorf("the first write of a document was refused: Redis has the stamp %v", out.Stored)
		}
		return "compare-and-set", err
	})
	f.step("guard", "an older copy replaces a newer one: the promise that no old price is shown does not hold", "", func() (string, error) {
		older := doc
		older.Body, older.Stamp.Token = []byte(`{"canary":"older"}`), token-1
		out, err := f.store.Write(ctx, rediscluster.Put, older)
		if err == nil && out.Accepted {
			err = errors.New("a write with an older token was accepted")
		}
		return "an older write was refused", err
	})
	f.step("read", "what was stored is not what is read", "", func() (string, error) {
		for _, from := range []rediscluster.From{rediscluster.FromMaster, rediscluster.FromReplica} {
			got, err := f.store.Get(ctx, key, from)
			if err != nil {
				return "", err
			}
			if got.State != catalog.Live || !bytes.Equal(got.Body, doc.Body) || got.Stamp != doc.Stamp {
				return "", fmt.Errorf("read %s with the stamp %v and %.60q, wrote %v and %q", got.State, got.Stamp, got.Body, doc.Stamp, doc.Body)
			}
		}
		return "from master and replica", nil
	})
	return wrote
}

// sweep waits until the lock's node is gone, and removes its parent if it was
// made for it and nobody else uses it by now.
func (f *flight) sweep(ctx context.Context, stripe, name string, fresh bool) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		children, err := f.session.Children(ctx, stripe)
		switch {
		case errors.Is(err, zookeeper.ErrNoNode):
			return nil
		case err != nil:
			return err
		}
		if !slices.ContainsFunc(children, func(c string) bool { return strings.HasPrefix(c, name) }) {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the lock's node is still under %s: %w", stripe, ctx.Err())
		}
	}
	if !fresh {
		return nil
	}
	if err := f.session.Delete(ctx, stripe, -1); !errors.Is(err, zookeeper.ErrNotEmpty) {
		return err
	}
	return nil
}

// busAndFeed sends on every partition of the bus and reads all of it back, then
// sends through the feed and waits for a cache process to answer on the bus.
func (f *flight) busAndFeed(ctx context.Context) {
	if f.failed {
		f.n.skip("an earlier step failed", "bus", "feed")
		return
	}
	cfg := f.Kafka
	cfg.ClientID = "eshop-doctor"
	heard := &echoes{want: "doctor-" + f.id, seen: make(map[string]bool), news: make(chan struct{})}
	producer, err := kafka.NewProducer(kafka.ProducerConfig{Config: cfg, ManualPartition: true, FlushTimeout: 200 * time.Millisecond}, kafka.Deps{Log: f.log})
	var reader *kafka.Reader
	if err == nil {
		reader, err = kafka.NewReader(kafka.ReaderConfig{Config: cfg, Topic: f.TopicInvalidate, MaxWait: 50 * time.Millisecond}, heard, kafka.Deps{Log: f.log})
	}
	if err != nil {
		f.n.say(fail("no page learns of a change", ""), "bus", "%v", err)
		f.n.skip("an earlier step failed", "feed")
		return
	}
	err = during(ctx, producer.Run, func(ctx context.Context) error {
		return during(ctx, reader.Run, func(ctx context.Context) error {
			f.bus(ctx, producer, reader, heard)
			f.feed(ctx, producer, heard)
			return nil
		})
	})
	if err != nil {
		f.log.Warn("end the canary's Kafka clients", "error", err)
	}
}

func (f *flight) bus(ctx context.Context, producer *kafka.Producer, reader *kafka.Reader, heard *echoes) {
	f.step("bus", "no page learns of a change; after "+short(f.MaxStaleness)+" copies are checked against Redis before use", "", func() (string, error) {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for !reader.CaughtUp() {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return "", fmt.Errorf("read the topic %s: %w", f.TopicInvalidate, errors.Join(ctx.Err(), reader.LastError()))
			}
		}
		partitions := reader.Status()
		var want []string
		for _, p := range partitions {
			id := fmt.Sprintf("doctor-%s-%d", f.id, p.Partition)
			want = append(want, id)
			if err := producer.Send(ctx, kafka.Record{Topic: f.TopicInvalidate, Partition: p.Partition, Value: catalog.CanaryEcho(id)}); err != nil {
				return "", fmt.Errorf("send to partition %d of %s: %w", p.Partition, f.TopicInvalidate, err)
			}
		}
		if err := heard.wait(ctx, want...); err != nil {
			return "", fmt.Errorf("read back from %s: %w", f.TopicInvalidate, err)
		}
		return fmt.Sprintf("sent to and read back from %d partitions", len(partitions)), nil
	})
}

func (f *flight) feed(ctx context.Context, producer *kafka.Producer, heard *echoes) {
	if !f.caches {
		f.n.skip("no cache process runs", "feed")
		return
	}
	f.step("feed", "changes are not followed: pages keep what they show", "eshop doctor --json    # see kafka.lag and zookeeper.members; then /-/ready of each cache process", func() (string, error) {
		id := "doctor-" + f.id + "-feed"
		if err := producer.Send(ctx, kafka.Record{Topic: f.TopicChange, Value: catalog.CanaryChange(id)}); err != nil {
			return "", fmt.Errorf("send to %s: %w", f.TopicChange, err)
		}
		if err := heard.wait(ctx, id); err != nil {
			return "", fmt.Errorf("no cache process has answered a message of %s on %s: %w", f.TopicChange, f.TopicInvalidate, err)
		}
		return "a cache process answered on the bus", nil
	})
}

// echoes notes which of the own messages have come back. It implements kafka.Events.
type echoes struct {
	want string // what the ids begin with
	mu   sync.Mutex
	seen map[string]bool
	news chan struct{} // closed and replaced at each
}

// Record implements kafka.Events.
func (e *echoes) Record(r kafka.Record) {
	inv, err := catalog.ParseInvalidation(r.Value)
	if err != nil || !strings.HasPrefix(inv.Heartbeat, e.want) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen[inv.Heartbeat] = true
	close(e.news)
	e.news = make(chan struct{})
}

// Gap implements kafka.Events.
func (e *echoes) Gap(int32, int64, int64, string) {}

// wait returns when all of the ids have come back.
func (e *echoes) wait(ctx context.Context, ids ...string) error {
	for {
		e.mu.Lock()
		missing := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return e.seen[id] })
		news := e.news
		e.mu.Unlock()
		if len(missing) == 0 {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d messages are missing: %w", len(missing), len(ids), ctx.Err())
		}
	}
}
