package hotlist_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eshop/pkg/hotlist"
	"eshop/pkg/lab"
	"eshop/pkg/zookeeper"
)

// Processes race for one partition, claim, publish, are paused and go on, while
// their connections break: whoever looks, through a watch or by reading, never
// sees the generation of a list go down, and what stands at the end is the
// newest holder's last list. PITFALLS 1, 26, 29, 39.
func TestRacingPublishers26_29_39(t *testing.T) {
	onBoth(t, func(e *env) {
		const processes, claims = 4, 12
		var links []*lab.Link
		var clients []*hotlist.Client
		for i := range processes {
			l := lab.NewLink(e, e.addrs[i%len(e.addrs)])
			c, _ := e.client(behind(l))
			links, clients = append(links, l), append(clients, c)
		}
		stop := make(chan struct{})
		var looking sync.WaitGroup
		defer looking.Wait()
		defer sync.OnceFunc(func() { close(stop) })()

		observer := e.session()
		for _, path := range []string{"hot/0", "top/0"} {
			var watched, read rising
			observer.WatchNode(e.Context(), path, func(data []byte, exists bool, _ int32) { watched.see(e, path, data, exists) })
			ctx := e.ctx()
			looking.Go(func() {
				for !closed(stop) {
					data, _, err := observer.Get(ctx, path)
					if err != nil && !errors.Is(err, zookeeper.ErrNoNode) {
						e.Error(err)
						return
					}
					read.see(e, path, data, err == nil)
				}
			})
		}
		looking.Go(func() { // connections break now and then
			r := rand.New(rand.NewPCG(1, 1))
			tick := time.NewTicker(7 * time.Millisecond)
			defer tick.Stop()
			for !closed(stop) {
				<-tick.C
				links[r.IntN(processes)].Drop()
			}
		})

		var newest, done, gaveWay atomic.Int64
		var racing sync.WaitGroup
		for i, c := range clients {
			racing.Go(func() {
				r := rand.New(rand.NewPCG(2, uint64(i)))
				var former []*hotlist.Publisher // paused holders that go on some time
				for range claims {
					p, _, err := c.Claim(e.ctx(), 0, fmt.Sprint("process ", i))
					if errors.Is(err, hotlist.ErrSuperseded) {
						continue
					}
					if err != nil {
						e.Error(err)
						return
					}
					former = append(former, p)
					for range 1 + r.IntN(4) {
						q := former[r.IntN(len(former))]
						if r.IntN(2) == 0 {
							q = p
						}
						publish := func() error { return q.PublishHot(e.ctx(), hotlist.Hot{Keys: keys(1 + r.Int64N(50))}) }
						if r.IntN(3) == 0 {
							publish = func() error { return q.PublishTop(e.ctx(), hotlist.Top{Total: r.Int64()}) }
						}
						switch err := publish(); {
						case errors.Is(err, hotlist.ErrSuperseded):
							gaveWay.Add(1)
						case err != nil:
							e.Error(err)
							return
						default:
							done.Add(1)
						}
					}
				}
				if len(former) > 0 {
					raise(&newest, former[len(former)-1].Generation())
				}
			})
		}
		racing.Wait()
		for _, l := range links {
			l.Drop()
		}
		last, _ := e.claim(clients[0], 0, "the last")
		e.must(last.PublishHot(e.ctx(), hotlist.Hot{Keys: keys(77)}))
		v, err := clients[1].ReadView(e.ctx())
		e.must(err)
		if last.Generation() <= newest.Load() || v.Lists[0].Generation != last.Generation() || v.Lists[0].Keys[0].ID != 77 {
			e.Errorf("the list is %+v, want that of generation %d", v.Lists[0], last.Generation())
		}
		if done.Load() < claims || gaveWay.Load() == 0 {
			e.Errorf("%d lists published, %d times a former holder gave way: the race was none", done.Load(), gaveWay.Load())
		}
		e.Logf("%d lists published, %d times a former holder gave way", done.Load(), gaveWay.Load())
	})
}

// rising sees generations that must not go down.
type rising struct{ highest int64 }

func (r *rising) see(e *env, path string, data []byte, exists bool) {
	if !exists {
		if r.highest > 0 {
			e.Errorf("%s is gone", path)
		}
		return
	}
	var head struct{ Generation int64 }
	if err := json.Unmarshal(data, &head); err != nil {
		e.Errorf("%s: %v", path, err)
	}
	if head.Generation < r.highest {
		e.Errorf("%s went from generation %d down to %d", path, r.highest, head.Generation)
	}
	r.highest = max(r.highest, head.Generation)
}

func raise(to *atomic.Int64, v int64) {
	for now := to.Load(); now < v && !to.CompareAndSwap(now, v); now = to.Load() {
	}
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// A claim whose context has ended leaves nothing behind, and the partition can be
// claimed by others. PITFALLS 26.
func TestClaimLeavesNothing26(t *testing.T) {
	onBoth(t, func(e *env) {
		s := e.session()
		c, _ := clientOn(s)
		ctx, cancel := context.WithCancel(e.ctx())
		cancel()
		if _, _, err := c.Claim(ctx, 0, "hc"); !errors.Is(err, context.Canceled) {
			e.Errorf("claim: got %v, want the end of the context", err)
		}
		e.claim(c, 0, "another") // writes nothing
		if _, err := s.Children(e.ctx(), "hot"); !errors.Is(err, zookeeper.ErrNoNode) {
			e.Errorf("a claim made nodes: %v", err)
		}
		p, _ := e.claim(c, 0, "a third")
		e.must(p.PublishHot(e.ctx(), hotlist.Hot{}))
	})
}
