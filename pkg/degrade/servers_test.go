package degrade

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	embedded "eshop/pkg/embedded/zookeeper"
	"eshop/pkg/lab"
	"eshop/pkg/zookeeper"
)

const patience = 30 * time.Second

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { lab.Close(); os.Exit(code) }))
}

// env is one server, or ensemble, under test, and a root of the test's own.
type env struct {
	testing.TB
	addrs []string
	root  string
}

// onBoth runs a body on the embedded ZooKeeper server and on a real ensemble.
func onBoth(t *testing.T, body func(e *env)) {
	t.Run("embedded", func(t *testing.T) {
		s, err := embedded.Start(t.Context(), embedded.Config{}, embedded.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Errorf("close the embedded server: %v", err)
			}
		})
		body(&env{TB: t, addrs: []string{s.Addr()}, root: "/" + lab.Name(t)})
	})
	t.Run("real", func(t *testing.T) {
		body(&env{TB: t, addrs: lab.ZooKeeper(t).Addrs(), root: "/" + lab.Name(t)})
	})
}

// running runs fn until the test's end.
func (e *env) running(fn func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); fn(ctx) }()
	e.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(patience):
			e.Error("something does not end with its context")
		}
	})
}

// session is one through the given address, or to any server.
func (e *env) session(addrs ...string) *zookeeper.Session {
	e.Helper()
	if len(addrs) == 0 {
		addrs = e.addrs
	}
	s, err := zookeeper.New(zookeeper.Config{Servers: addrs, Root: e.root, SessionTimeout: 4 * time.Second}, zookeeper.Deps{})
	if err != nil {
		e.Fatal(err)
	}
	e.running(func(ctx context.Context) {
		if err := s.Run(ctx); err != nil {
			e.Errorf("end the session: %v", err)
		}
	})
	return s
}

// journal is a log that may be read while it is written.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) count(words string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), words)
}

// process is what a role has: a client, a state that follows, a log.
type process struct {
	*Client
	*State
	zk    *zookeeper.Session
	log   *journal
	calls atomic.Int64 // of fn
}

func (e *env) process(addrs ...string) *process {
	p := &process{State: new(State), zk: e.session(addrs...), log: new(journal)}
	p.Client = New(Deps{Session: p.zk, Log: textLog(p.log)})
	e.running(func(ctx context.Context) { p.State.Run(ctx, p.Client, func() { p.calls.Add(1) }) })
	return p
}

// holds is the switches in effect as "product.no-origin shop.stale-only".
func (p *process) holds() string {
	var names []string
	for _, s := range p.Switches() {
		names = append(names, s.node())
	}
	return strings.Join(names, " ")
}

func (e *env) until(what string, ok func() error) {
	e.Helper()
	lab.Until(e, patience, func(context.Context) error {
		if err := ok(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	})
}

func (e *env) shows(p *process, want string) {
	e.Helper()
	e.until("what is in effect", func() error {
		if got := p.holds(); got != want {
			return fmt.Errorf("got %q, want %q", got, want)
		}
		return nil
	})
}

func (e *env) set(p *process, kind string, mode Modes, length time.Duration) {
	e.Helper()
	if _, err := p.Set(e.Context(), kind, mode, length, "oncall"); err != nil {
		e.Fatal(err)
	}
}

func (e *env) clear(p *process, kind string, modes Modes, want string) {
	e.Helper()
	ended, err := p.Clear(e.Context(), kind, modes, "oncall")
	if got := strings.Join(ended, " "); err != nil || got != want {
		e.Fatalf("clear: got %q, %v, want %q", got, err, want)
	}
}

func TestSetAndClear(t *testing.T) {
	onBoth(t, func(e *env) {
		a, b := e.process(), e.process()
		e.clear(a, Every, NoOrigin|StaleOnly, "") // nothing there, nor the directory
		e.set(a, "product", NoOrigin, time.Hour)
		e.set(b, "product", StaleOnly, time.Hour)
		e.set(b, Every, NoOrigin, time.Hour)
		for _, p := range []*process{a, b} {
			e.shows(p, "*.no-origin product.no-origin product.stale-only")
			if got := p.Of("shop"); got != NoOrigin {
				t.Errorf("shop: %v, want that of every kind", got)
			}
			if err := p.Forbids("product", StaleOnly); err == nil || !strings.Contains(err.Error(), "set by oncall") {
				t.Errorf("product: %v, want an error that names the author", err)
			}
		}
		e.clear(b, "product", NoOrigin, "product.no-origin")
		e.shows(a, "*.no-origin product.stale-only")
		e.set(a, "shop", NoOrigin, time.Hour)
		e.shows(b, "*.no-origin product.stale-only shop.no-origin")
		e.set(a, "shop", NoOrigin, time.Second)      // written over
		e.shows(b, "*.no-origin product.stale-only") // by its time
		e.clear(a, Every, NoOrigin|StaleOnly, "*.no-origin product.stale-only shop.no-origin")
		e.shows(b, "")
		if n := b.log.count(`msg="no longer degraded"`); b.log.count(`msg=degraded kind=product mode=no-origin by=oncall`) != 1 || n != 4 || n != b.log.count("how=expired")+b.log.count("how=cleared") {
			t.Errorf("the log does not tell each change once:\n%s", b.log.text.String())
		}
		if _, err := a.Set(e.Context(), "product", NoOrigin, MaxFor+time.Second, "oncall"); err == nil {
			t.Error("a switch for more than a day was set")
		}
	})
}

// No more than MaxSwitches; one that is there can be replaced all the same.
func TestSwitchesAreBounded(t *testing.T) {
	onBoth(t, func(e *env) {
		p := e.process()
		for i := range MaxSwitches / 2 {
			for _, mode := range All() {
				e.set(p, fmt.Sprint("k", i), mode, time.Hour)
			}
		}
		if _, err := p.Set(e.Context(), "one-more", NoOrigin, time.Hour, "oncall"); !errors.Is(err, ErrFull) {
			t.Errorf("one too many: %v, want ErrFull", err)
		}
		e.set(p, "k7", NoOrigin, time.Hour)
	})
}

// ZooKeeper is away: what was known stands until its end, by the process's own
// clock, and nothing waits for the node to go. Back again, what others did
// meanwhile arrives.
func TestZooKeeperAway(t *testing.T) {
	onBoth(t, func(e *env) {
		link := lab.NewLink(e, e.addrs[0])
		a, b := e.process(), e.process(link.Addr())
		e.set(a, "product", NoOrigin, 10*time.Second)
		e.set(a, "shop", StaleOnly, time.Hour)
		e.shows(b, "product.no-origin shop.stale-only")
		link.Cut()
		e.until("the cut", func() error {
			if b.zk.State() == zookeeper.Connected {
				return errors.New("still connected")
			}
			return nil
		})
		if got := b.holds(); got != "product.no-origin shop.stale-only" {
			t.Errorf("cut off it knows of %q, want what it knew", got)
		}
		e.shows(b, "shop.stale-only") // the end of the other needs nobody
		e.clear(a, "shop", StaleOnly, "shop.stale-only")
		ctx, cancel := context.WithTimeout(e.Context(), 200*time.Millisecond)
		defer cancel()
		if _, err := b.Set(ctx, "product", StaleOnly, time.Hour, "bob"); err == nil {
			t.Error("cut off from ZooKeeper, a switch was set")
		}
		if got := b.holds(); got != "shop.stale-only" {
			t.Errorf("cut off it knows of %q, want shop.stale-only", got)
		}
		link.Heal()
		e.shows(b, "")
	})
}

// A node is deleted an hour after its end and not before, and one that is
// unreadable or was written over stays.
func TestSweep(t *testing.T) {
	onBoth(t, func(e *env) {
		zk := e.session()
		put := func(node string, since, until time.Duration) {
			e.Helper()
			b, err := encode(Switch{Kind: "x", Mode: NoOrigin, Since: time.Now().Add(since).UnixMilli(), Until: time.Now().Add(until).UnixMilli()})
			if err == nil {
				err = zk.Put(e.Context(), dir+"/"+node, b)
			}
			if err != nil {
				e.Fatal(err)
			}
		}
		put("old.no-origin", -3*time.Hour, -61*time.Minute)
		put("late.no-origin", -3*time.Hour, -59*time.Minute)
		put("now.no-origin", -time.Minute, time.Hour)
		if err := zk.Put(e.Context(), dir+"/odd", nil); err != nil {
			e.Fatal(err)
		}
		p := e.process()
		e.shows(p, "now.no-origin")
		e.until("the sweep", func() error {
			names, err := p.children(e.Context())
			if err != nil || len(names) != 3 {
				return fmt.Errorf("%v, %v", names, err)
			}
			return nil
		})
		put("new.no-origin", -time.Minute, time.Hour) // written over since it was seen as old
		if err := p.sweep(e.Context(), "new.no-origin", expired); err != nil {
			e.Error(err)
		}
		if _, _, err := zk.Get(e.Context(), dir+"/new.no-origin"); err != nil {
			t.Errorf("a switch that is in effect was swept: %v", err)
		}
	})
}

// Operators at two processes set and clear at random; a third sees what stands
// in the end.
func TestRandomOperators(t *testing.T) {
	onBoth(t, func(e *env) {
		operators, watcher := []*process{e.process(), e.process()}, e.process()
		r := rand.New(rand.NewPCG(3, 4))
		for range 8 {
			want := map[string]Switch{}
			for _, s := range watcher.Switches() {
				want[s.node()] = s
			}
			for range 12 {
				p, kind, mode := operators[r.IntN(2)], []string{"product", "shop", Every}[r.IntN(3)], All()[r.IntN(2)]
				if r.IntN(3) > 0 {
					s, err := p.Set(e.Context(), kind, mode, time.Hour, "oncall")
					if err != nil {
						e.Fatal(err)
					}
					want[s.node()] = s
					continue
				}
				ended, err := p.Clear(e.Context(), kind, mode, "oncall")
				if err != nil {
					e.Fatal(err)
				}
				for _, node := range ended {
					delete(want, node)
				}
			}
			e.until("the last word", func() error {
				got := watcher.Switches()
				if len(got) != len(want) {
					return fmt.Errorf("got %v, want %v", got, want)
				}
				for _, s := range got {
					if want[s.node()] != s {
						return fmt.Errorf("got %v, want %v", got, want)
					}
				}
				return nil
			})
		}
	})
}
