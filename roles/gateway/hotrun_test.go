package gateway

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/accesslog"
	"eshop/pkg/hotlist"
	"eshop/pkg/lab"
	"eshop/pkg/lifecycle"
	"eshop/pkg/ring"
	"eshop/pkg/zookeeper"
)

// hotcount is the lists of one partition, as their holder writes them.
type hotcount struct {
	w *world
	*hotlist.Publisher
	*hotlist.Client
}

func (w *world) hotcount(partition int32) hotcount {
	w.t.Helper()
	zk, err := zookeeper.New(w.zk, zookeeper.Deps{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.running("session of hotcount", zk.Run)
	c := hotlist.New(hotlist.Deps{Session: zk})
	p, _, err := c.Claim(w.t.Context(), partition, "hc-1")
	if err != nil {
		w.t.Fatal(err)
	}
	return hotcount{w, p, c}
}

func (h hotcount) hot(ids ...int64) {
	h.w.t.Helper()
	list := hotlist.Hot{}
	for _, id := range ids {
		list.Keys = append(list.Keys, hotlist.Key{ID: id, Count: 300, Since: time.Now().UnixMilli()})
	}
	if err := h.PublishHot(h.w.t.Context(), list); err != nil {
		h.w.t.Fatal(err)
	}
}

// fleet starts gateways and waits until they know each other and the bus.
func (w *world) fleet(ids ...string) []*Role {
	w.t.Helper()
	var all []*Role
	for _, id := range ids {
		all = append(all, w.gateway(id))
	}
	w.settled(all...)
	return all
}

func (w *world) settled(all ...*Role) {
	w.t.Helper()
	for _, g := range all {
		w.until("all know each other", func() (bool, string) {
			r := g.peers.Ring()
			return r != nil && r.Len() == len(all), fmt.Sprint(r != nil && r.Len() > 0)
		})
		w.until("the bus vouches", func() (bool, string) { return !g.trust().Behind(time.Now().UnixNano()), "" })
	}
}

// shows reports whether a gateway holds a page, without asking for it.
func shows(g *Role, target, text string) bool {
	key, json, _ := g.router.parse([]byte(target))
	key.json = json
	p, ok := g.l1.pages.Get(key)
	return ok && g.look(p, time.Now().UnixNano()) <= stale && strings.Contains(string(p.plain.body), text)
}

// A product is hot: each gateway has its own copy before anybody asks, shows a change at once, and the
// one that does not own it gives it up when it cools. PITFALL 4: the news of a change does not depend on
// who knows that the product is hot: a third gateway, which ZooKeeper cannot reach, does not.
func TestHotOnServers(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.put(product(1, 10, "5599.0"), shop(11, "Shop three"))
		all := w.fleet("gw-1", "gw-2")
		hc := w.hotcount(0)

		servers := w.zk.Servers
		cut := lab.NewLink(t, servers[0])
		w.zk.Servers = []string{cut.Addr()}
		apart := w.gateway("gw-3")
		w.zk.Servers = servers
		w.settled(append(all, apart)...)
		cut.Cut()

		start := time.Now()
		hc.hot(7)
		for _, g := range all {
			w.until(g.cfg.ID+" has a copy of its own", func() (bool, string) {
				return shows(g, plainForm, "5599.0") && shows(g, seedForm, "5599.0"), fmt.Sprint(g.hot.status(time.Now()))
			})
		}
		t.Logf("published to a copy on each of 2 gateways: %v", time.Since(start))
		for _, g := range all {
			p := fetch(t, g, seedForm)
			if p.code != 200 || !strings.HasPrefix(p.status, "eshop; hit; ttl=") || !strings.HasSuffix(p.status, `; hot; owner=`+g.cfg.ID+`"`) {
				t.Errorf("the first request at %s: %d, %s", g.cfg.ID, p.code, p.status)
			}
		}
		if p := fetch(t, apart, seedForm); p.code != 200 || strings.HasPrefix(p.status, "eshop; hit") || strings.Contains(p.status[strings.LastIndex(p.status, ","):], "hot") {
			t.Errorf("at the gateway that does not know: %d, %s", p.code, p.status)
		}

		next := product(2, 20, "4999")
		w.put(next)
		w.announce(next)
		for _, g := range all {
			w.until(g.cfg.ID+" shows the change, unasked", func() (bool, string) {
				return shows(g, plainForm, ">4999<") && shows(g, seedForm, ">4999<"), ""
			})
		}
		w.until("so does the one where it is not hot", func() (bool, string) {
			p := fetch(t, apart, seedForm)
			return strings.Contains(p.body, ">4999<"), p.status
		})
		renamed := shop(31, "Renamed")
		w.put(renamed)
		w.announce(renamed)
		for _, g := range all {
			w.until(g.cfg.ID+" shows the renamed shop, unasked", func() (bool, string) { return shows(g, seedForm, "Renamed"), "" })
		}

		cut.Heal()
		w.until("the third one learns of it", func() (bool, string) { return shows(apart, seedForm, "Renamed"), "" })
		hc.hot()
		all = append(all, apart)
		owner, _ := all[0].peers.Ring().Owner(ring.Hash(accesslog.Kind, 7))
		for _, g := range all {
			w.until(g.cfg.ID+" knows that it has cooled", func() (bool, string) {
				n := len(g.hot.set.Load().keys)
				return n == 0, fmt.Sprint(n)
			})
			if g.cfg.ID != owner.ID {
				w.until(g.cfg.ID+" has given its copy up", func() (bool, string) { return g.l1.pages.Len() == 0, fmt.Sprint(g.l1.pages.Len()) })
			}
		}
		for _, g := range all {
			p := fetch(t, g, seedForm)
			if p.code != 200 || strings.Contains(p.status, "hot") || strings.Contains(p.status, "peer;") != (g.cfg.ID != owner.ID) {
				t.Errorf("cooled, at %s; the owner is %s: %d, %s", g.cfg.ID, owner.ID, p.code, p.status)
			}
		}
	})
}

// While ZooKeeper is away the last list stands, and its age shows.
func TestHotListSurvivesZooKeeper(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.put(product(1, 10, "5599.0"), shop(11, "Shop three"))
		hc := w.hotcount(0)
		link := lab.NewLink(t, w.zk.Servers[0])
		w.zk.Servers = []string{link.Addr()}
		g := w.gateway("gw-1")
		hc.hot(7)
		w.until("the list has arrived", func() (bool, string) { return shows(g, seedForm, "5599.0"), "" })
		link.Cut()
		w.until("the session is lost", func() (bool, string) { return g.zk.State() != zookeeper.Connected, g.zk.State().String() })
		before, _ := g.hot.set.Load().oldest(time.Now())
		hc.hot()
		w.until("the age grows", func() (bool, string) {
			age, ok := g.hot.set.Load().oldest(time.Now())
			return ok && age > before+300*time.Millisecond, age.String()
		})
		if p := fetch(t, g, seedForm); !strings.HasPrefix(p.status, "eshop; hit;") || !strings.Contains(p.status, "; hot;") {
			t.Errorf("without ZooKeeper: %s", p.status)
		}
		next := product(2, 20, "4999")
		w.put(next)
		w.announce(next)
		w.until("a change is shown all the same", func() (bool, string) { return shows(g, seedForm, ">4999<"), "" })
		link.Heal()
		w.until("the newer list has arrived", func() (bool, string) {
			return !strings.Contains(fetch(t, g, seedForm).status, "hot"), fmt.Sprint(g.hot.status(time.Now()))
		})
	})
}

// The rule's floor reaches the access log, whose early flush depends on it.
func TestRuleIsFollowed(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		hc := w.hotcount(0)
		g := w.gateway("gw-1")
		rule := hotlist.DefaultRule()
		rule.Floor = 80_000
		if err := hc.PutRule(t.Context(), rule); err != nil {
			t.Fatal(err)
		}
		w.until("the floor is known", func() (bool, string) {
			n := g.access.hits.share.Load()
			return n == 80_000/shareOfFloor, fmt.Sprint(n)
		})
	})
}

// A gateway that starts has the pages that it will own, and the hot ones, before any other gateway
// knows of it.
func TestWarmJoin(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		const products = 300
		top := hotlist.Top{}
		w.put(shopOf(1, 1), shopOf(2, 2))
		for id := int64(1); id <= products; id++ {
			w.put(productOf(id, 1, id+10))
			top.Keys = append(top.Keys, hotlist.Count{ID: id, N: 2*products - id})
		}
		hc := w.hotcount(0)
		if err := hc.PublishTop(t.Context(), top); err != nil {
			t.Fatal(err)
		}
		first := w.fleet("gw-1")[0]
		if n := first.warm.pages.Load(); n != products {
			t.Errorf("the first gateway was ready with %d of %d pages", n, products)
		}
		hc.hot(1, 2, 3, 4)

		ready := new(lifecycle.Ready)
		second, err := New(w.config("gw-2"), Deps{Catalog: w.cat, Ready: ready, Registry: prometheus.NewRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		if err := second.Listen(); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		w.running("gw-2", second.Run)
		var made int64
		w.until("the first knows the second", func() (bool, string) {
			made = second.warm.pages.Load() // before the look at the ring
			rg := first.peers.Ring()
			return rg.Len() == 2, fmt.Sprint(rg.Members())
		})
		t.Logf("the second joined after %v with %d pages", time.Since(start), made)
		if want := second.warm.of.Load(); made != want || want < products/4 || want > products*3/4+4 {
			t.Errorf("it joined with %d of %d pages, of %d in all", made, want, products)
		}
		w.until("it is ready", func() (bool, string) { return ready.OK(), fmt.Sprint(ready.Reasons()) })
		owned := 0
		for id := int64(1); id <= products; id++ {
			m, _ := first.peers.Ring().Owner(ring.Hash(accesslog.Kind, id))
			if m.ID != "gw-2" && id > 4 {
				continue
			}
			owned++
			p := fetch(t, second, fmt.Sprintf("/product?productId=%d&shopId=%d", id, 1+id%2))
			if p.code != 200 || !strings.HasPrefix(p.status, "eshop; hit;") {
				t.Errorf("the first request for %d: %d, %s", id, p.code, p.status)
			}
		}
		if n := counter(t, second.metrics.forwarded); owned < products/4 || n > 0 {
			t.Errorf("%d products belong to the second or are hot, it forwarded %v requests", owned, n)
		}
	})
}

// Without any server a gateway stops waiting to be warm, and says what it waits for until then.
func TestWarmNeverBlocksReadiness(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	l.Close()
	w := &world{t: t}
	w.redis.Addrs, w.kafka.Brokers, w.zk.Servers = []string{dead}, []string{dead}, []string{dead}
	ready := new(lifecycle.Ready)
	cfg := w.config("gw-1")
	cfg.WarmTimeout = 400 * time.Millisecond
	r, err := New(cfg, Deps{Ready: ready})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Listen(); err != nil {
		t.Fatal(err)
	}
	condition := func() lifecycle.Condition {
		for _, c := range ready.Conditions() {
			if c.Name == needsWarm {
				return c
			}
		}
		return lifecycle.Condition{}
	}
	if c := condition(); c.OK || c.Name == "" {
		t.Errorf("before it runs: %+v", c)
	}
	w.running("gateway", r.Run)
	w.until("it says what it waits for", func() (bool, string) { return strings.Contains(condition().Reason, "ZooKeeper"), condition().Reason })
	w.until("it waits no longer", func() (bool, string) { return condition().OK, condition().Reason })
}

// An orderly stop leaves the group: the others' rings are without the gateway, and none of their
// requests fails on the way.
func TestLeavesBeforeItStops(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.put(shopOf(1, 1), shopOf(2, 2))
		const products = 40
		for id := int64(1); id <= products; id++ {
			w.put(productOf(id, 1, id+10))
		}
		stays := w.gateway("gw-1")
		leaves, err := New(w.config("gw-2"), Deps{Catalog: w.cat})
		if err != nil {
			t.Fatal(err)
		}
		if err := leaves.Listen(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- leaves.Run(ctx) }()
		w.settled(stays, leaves)
		cancel()
		for id := int64(1); ; id = id%products + 1 {
			if p := fetch(t, stays, fmt.Sprintf("/product/%d", id)); p.code != 200 {
				t.Errorf("a page while a gateway leaves: %d, %s", p.code, p.status)
			}
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("the end of the gateway that left: %v", err)
				}
				w.until("it is not in the ring any more", func() (bool, string) { return stays.peers.Ring().Len() == 1, "" })
				return
			default:
			}
		}
	})
}
