package hotlist_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"eshop/pkg/hotlist"
	"eshop/pkg/zookeeper"
)

// fate is what becomes of a write.
type fate int

const (
	answered fate = iota
	unheard       // done, the answer is lost
	lost          // not done
	late          // not heard of, and done at some later time or never
	fates
)

// node is a ZooKeeper of one node, one request at a time.
type node struct {
	tokens  int64
	exists  bool
	version int32
	data    string
	history []string
	pending []func() error // writes that are late
	broken  []string       // rules of this test that were broken
}

func generation(data string) int64 {
	var head struct{ Generation int64 }
	_ = json.Unmarshal([]byte(data), &head)
	return head.Generation
}

func (n *node) write(data string) {
	if before, now := generation(n.data), generation(data); now < before {
		n.broken = append(n.broken, fmt.Sprintf("generation %d was replaced by %d", before, now))
	}
	n.data = data
	n.history = append(n.history, data)
}

// meet executes a write with a fate.
func (n *node) meet(f fate, write func() error) error {
	switch f {
	case answered:
		return write()
	case unheard:
		_ = write()
	case late:
		n.pending = append(n.pending, write)
	}
	return zookeeper.ErrUnknownOutcome
}

// actor is one holder: its requests wait until the schedule lets them happen.
type actor struct {
	hotlist.Session // none: a request that this test does not know panics
	n               *node
	at              chan request // closed at its end
	goOn            chan struct{}

	generation int64
	last       string // what it published last
}

type request struct {
	writes bool
	do     func(fate)
}

func (a *actor) ask(writes bool, do func(fate)) {
	a.at <- request{writes, do}
	<-a.goOn
}

func (a *actor) Token(context.Context) (token int64, err error) {
	a.ask(false, func(fate) { a.n.tokens++; token = a.n.tokens })
	return token, nil
}

func (a *actor) Get(context.Context, string) (data []byte, version int32, err error) {
	a.ask(false, func(fate) {
		if !a.n.exists {
			err = zookeeper.ErrNoNode
			return
		}
		data, version = []byte(a.n.data), a.n.version
	})
	return data, version, err
}

func (a *actor) Create(_ context.Context, _ string, data []byte) (err error) {
	a.ask(true, func(f fate) {
		err = a.n.meet(f, func() error {
			if a.n.exists {
				return zookeeper.ErrNodeExists
			}
			a.n.exists, a.n.version = true, 0
			a.n.write(string(data))
			return nil
		})
	})
	return err
}

func (a *actor) Set(_ context.Context, _ string, data []byte, version int32) (now int32, err error) {
	a.ask(true, func(f fate) {
		err = a.n.meet(f, func() error {
			switch {
			case !a.n.exists:
				return zookeeper.ErrNoNode
			case a.n.version != version:
				return zookeeper.ErrBadVersion
			}
			a.n.version++
			a.n.write(string(data))
			return nil
		})
		now = a.n.version
	})
	return now, err
}

// hold claims and publishes, and checks what each call says against the node.
// Between its requests nothing else happens, so it may look at the node.
func (a *actor) hold(ctx context.Context, index, publishes int) {
	defer close(a.at)
	wrong := func(format string, args ...any) { a.n.broken = append(a.n.broken, fmt.Sprintf(format, args...)) }
	c := hotlist.New(hotlist.Deps{Session: a})
	p, _, err := c.Claim(ctx, 0, fmt.Sprint("holder ", index))
	for i := 0; i < publishes && err == nil; i++ {
		a.generation = p.Generation()
		err = p.PublishHot(ctx, hotlist.Hot{Published: int64(100*index + i + 1)})
		if err == nil {
			said := slices.IndexFunc(a.n.history, func(data string) bool {
				var h hotlist.Hot
				return json.Unmarshal([]byte(data), &h) == nil && h.Generation == a.generation && h.Published == int64(100*index+i+1)
			})
			if said < 0 {
				wrong("holder %d was told that it published, and never did", index)
			} else {
				a.last = a.n.history[said]
			}
		}
	}
	if err != nil && !errors.Is(err, hotlist.ErrSuperseded) {
		wrong("holder %d: %v", index, err)
	}
	if err != nil && generation(a.n.data) <= a.generation {
		wrong("holder %d gave way to generation %d, its own is %d", index, generation(a.n.data), a.generation)
	}
}

// play runs holders by a schedule, a list of choices, taking the first choice
// where the schedule has ended. It returns the choices made, how many there were
// each time, and what was wrong.
func play(ctx context.Context, schedule []int, holders, publishes, faults int) (taken, of []int, broken []string) {
	n := &node{}
	var actors []*actor
	var waiting []request // by actor; do is nil at its end
	arrive := func(a *actor) request { r := <-a.at; return r }
	for i := range holders {
		a := &actor{n: n, at: make(chan request), goOn: make(chan struct{})}
		go a.hold(ctx, i, publishes)
		actors, waiting = append(actors, a), append(waiting, arrive(a))
	}
	type option struct {
		actor, pending int
		fate           fate
	}
	for {
		var options []option
		for i, r := range waiting {
			if r.do == nil {
				continue
			}
			options = append(options, option{actor: i})
			for f := unheard; r.writes && faults > 0 && f < fates; f++ {
				options = append(options, option{actor: i, fate: f})
			}
		}
		if len(options) == 0 {
			break
		}
		if len(taken) == 0 {
			options = options[:1] // holders are alike: let the first begin
		}
		for i := range n.pending {
			options = append(options, option{actor: -1, pending: i})
		}
		choice := 0
		if len(taken) < len(schedule) {
			choice = schedule[len(taken)]
		}
		taken, of = append(taken, choice), append(of, len(options))
		o := options[choice]
		if o.actor < 0 {
			_ = n.pending[o.pending]()
			n.pending = slices.Delete(n.pending, o.pending, o.pending+1)
			continue
		}
		if o.fate != answered {
			faults--
		}
		waiting[o.actor].do(o.fate)
		actors[o.actor].goOn <- struct{}{}
		waiting[o.actor] = arrive(actors[o.actor])
	}
	for _, write := range n.pending { // or never, which other schedules have
		_ = write()
	}
	newest := slices.MaxFunc(actors, func(a, b *actor) int { return int(a.generation - b.generation) })
	if newest.last != n.data || newest.last == "" {
		n.broken = append(n.broken, fmt.Sprintf("at the end there is %s, want the newest holder's %s", n.data, newest.last))
	}
	return taken, of, n.broken
}

// Holders that know nothing of each other claim and publish, in every order in
// which ZooKeeper can get their requests, with every fate of a few writes: the
// generation never goes down, who was told of success has published, who gave
// way had to, and the newest holder's last list stands. PITFALLS 1, 28, 39.
func TestEveryInterleaving28_39(t *testing.T) {
	for _, tc := range []struct{ holders, publishes, faults int }{
		{2, 3, 0},
		{2, 2, 1},
		{1, 3, 3},
		{2, 1, 2},
		{3, 1, 0},
	} {
		t.Run(fmt.Sprintf("holders=%d,publishes=%d,faults=%d", tc.holders, tc.publishes, tc.faults), func(t *testing.T) {
			ctx := t.Context()
			schedule, schedules := []int{}, 0
			for {
				taken, of, broken := play(ctx, schedule, tc.holders, tc.publishes, tc.faults)
				schedules++
				if len(broken) > 0 {
					t.Fatalf("schedule %v: %v", taken, broken)
				}
				last := len(taken) - 1
				for last >= 0 && taken[last] == of[last]-1 {
					last--
				}
				if last < 0 {
					break
				}
				schedule = append(taken[:last:last], taken[last]+1)
			}
			t.Logf("%d schedules", schedules)
		})
	}
}
