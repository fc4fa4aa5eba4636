package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"eshop/pkg/catalog"
	"eshop/pkg/docapi"
	"eshop/pkg/rediscluster"
	"eshop/pkg/ring"
)

// fakeRedis is a master and a replica that a test moves by hand.
type fakeRedis struct {
	mu              sync.Mutex
	master, replica map[catalog.Key]catalog.Document // replica nil: the same as master
	down            bool
	calls, masters  int
	keys            int
	before          func(keys []catalog.Key) // outside the lock
}

var errDown = errors.New("connection refused")

func (f *fakeRedis) GetMany(_ context.Context, keys []catalog.Key, from rediscluster.From) []rediscluster.Result {
	if f.before != nil {
		f.before(keys)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	f.keys += len(keys)
	if from == rediscluster.FromMaster {
		f.masters++
	}
	out := make([]rediscluster.Result, len(keys))
	for i, k := range keys {
		out[i].Document.Key = k
		if f.down {
			out[i].Err = errDown
			continue
		}
		if from == rediscluster.FromReplica && f.replica != nil {
			if d, ok := f.replica[k]; ok {
				out[i].Document = d
				continue
			}
		}
		if d, ok := f.master[k]; ok {
			out[i].Document = d
		}
	}
	return out
}

func (f *fakeRedis) set(d catalog.Document) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.master[d.Key] = d
}

func (f *fakeRedis) fail(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *fakeRedis) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// fakeCache is the cache role.
type fakeCache struct {
	mu     sync.Mutex
	docs   map[catalog.Key]docapi.Reply
	fail   map[catalog.Key]bool
	down   bool
	asked  []docapi.Request
	delay  time.Duration
	before func() // under the lock
}

func (f *fakeCache) Get(ctx context.Context, req docapi.Request) (docapi.Reply, error) {
	r := f.GetMany(ctx, []docapi.Request{req})[0]
	return r.Reply, r.Err
}

func (f *fakeCache) GetMany(_ context.Context, reqs []docapi.Request) []docapi.Result {
	f.mu.Lock()
	delay := f.delay
	f.mu.Unlock()
	if delay > 0 {
		<-time.After(delay) // the origin's own time, within a synctest bubble
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]docapi.Result, len(reqs))
	if f.before != nil {
		f.before()
	}
	for i, q := range reqs {
		f.asked = append(f.asked, q)
		if f.down || f.fail[q.Key] {
			out[i].Err = &docapi.Unavailable{Reason: "the origin fails", RetryAfter: 3 * time.Second}
			continue
		}
		rep, ok := f.docs[q.Key]
		if !ok {
			rep = docapi.Reply{Document: catalog.Document{Key: q.Key}, Layer: docapi.LayerOrigin}
		}
		out[i].Reply = rep
	}
	return out
}

func (f *fakeCache) set(d catalog.Document) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.docs[d.Key] = docapi.Reply{Document: d, Layer: docapi.LayerOrigin}
}

func (f *fakeCache) setDown(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *fakeCache) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.asked)
}

// fakePeers is a ring a test sets by hand.
type fakePeers struct {
	ring    atomic.Pointer[ring.Ring]
	ejected atomic.Int64
}

func (f *fakePeers) Ring() *ring.Ring    { return f.ring.Load() }
func (f *fakePeers) Eject(string, error) { f.ejected.Add(1) }

var (
	keyP7 = catalog.Key{Kind: "product", ID: 7}
	keyS3 = catalog.Key{Kind: "shop", ID: 3}
)

func product(version, token int64, price string) catalog.Document {
	return catalog.Document{Key: keyP7, State: catalog.Live, Stamp: catalog.Stamp{Version: version, Token: token}, Pulled: time.Now(),
		Body: fmt.Appendf(nil, `{"id":7,"name":"Phone seven","price":%s,"pictureList":"/a.svg","color":"red,blue","size":"5.5","specification":"spec","service":"svc","shopId":3}`, price)}
}

func shop(token int64, name string) catalog.Document {
	return catalog.Document{Key: keyS3, State: catalog.Live, Stamp: catalog.Stamp{Token: token}, Pulled: time.Now(),
		Body: fmt.Appendf(nil, `{"id":3,"name":%q,"level":2,"goodCommentRate":0.97}`, name)}
}

type rig struct {
	*Role
	redis *fakeRedis
	cache *fakeCache
	peers *fakePeers
	addr  string // of the peer listener, if the test opened one
}

// newRig is a gateway on fakes, without listeners and goroutines.
func newRig(tb testing.TB, change func(*Config, *Deps)) *rig {
	tb.Helper()
	cfg, deps := Config{ID: "gw-1", Addr: "127.0.0.1:0", PeerAddr: "127.0.0.1:0", L1Bytes: 8 << 20}, Deps{}
	if change != nil {
		change(&cfg, &deps)
	}
	r, err := newRole(cfg, deps)
	if err != nil {
		tb.Fatal(err)
	}
	g := &rig{Role: r, peers: &fakePeers{},
		redis: &fakeRedis{master: map[catalog.Key]catalog.Document{keyP7: product(1, 10, "5599.0"), keyS3: shop(11, "Shop three")}},
		cache: &fakeCache{docs: map[catalog.Key]docapi.Reply{}, fail: map[catalog.Key]bool{}}}
	r.store, r.lookups, r.source, r.peers = g.redis, g.redis, g.cache, g.peers
	tb.Cleanup(r.end)
	return g
}

// change does to the gateway what the bus does.
func (g *rig) change(d catalog.Document) {
	g.floor.Raise(d.Key, d.Stamp)
	bus{g.Role}.Changed(catalog.Invalidation{Key: d.Key, Stamp: d.Stamp, State: d.State.String(), Sent: time.Now().UnixMilli()})
}

// drain does the background work that is queued.
func (g *rig) drain(ctx context.Context) int {
	for n := 0; ; n++ {
		select {
		case j := <-g.refresh.queue:
			g.refresh.do(ctx, j)
		default:
			return n
		}
	}
}

// get asks the public handler; headers come in pairs.
func (g *rig) get(tb testing.TB, target string, headers ...string) *fasthttp.RequestCtx {
	tb.Helper()
	return ask(g.servePublic, "GET", target, headers...)
}

func ask(h fasthttp.RequestHandler, method, target string, headers ...string) *fasthttp.RequestCtx {
	ctx := &fasthttp.RequestCtx{}
	ctx.Request.Header.SetMethod(method)
	ctx.Request.SetRequestURI(target)
	for i := 0; i+1 < len(headers); i += 2 {
		ctx.Request.Header.Add(headers[i], headers[i+1])
	}
	h(ctx)
	return ctx
}

func header(ctx *fasthttp.RequestCtx, name string) string {
	return string(ctx.Response.Header.Peek(name))
}

// counter reads a counter's value.
func counter(tb testing.TB, c prometheus.Counter) float64 {
	tb.Helper()
	reg := prometheus.NewRegistry()
	if err := reg.Register(c); err != nil {
		tb.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	return families[0].GetMetric()[0].GetCounter().GetValue()
}
