package fault_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/kafka"
	"eshop/pkg/lab"
)

// The keys of a scenario are its own; the numbers count from its base.
const (
	populars, forceds, recasts = 30, 4, 6
	perScenario                = 100_000
	fromHot, fromForced        = 100, 200
	fromRecast, fromExtra      = 300, 400
	fromStored                 = 1000
	storeds                    = 450
	fromCold                   = 10_000
)

// traffic is the requests for pages and the changes of one scenario.
type traffic struct {
	w    *world
	t    testing.TB
	h    *history
	base int64
	// extra are further keys that must be as at the origin in the end.
	extra []int64

	excused [gateways]atomic.Bool // while a gateway itself is under a fault
	quiet   context.CancelFunc    // ends the changes
	stop    context.CancelFunc    // ends the pages
	changes sync.WaitGroup
	pages   sync.WaitGroup
	outbox  chan catalog.Change
	senders sync.WaitGroup
}

// paces are the requests a second for a class at each gateway.
var paces = [classCount]int{popular: 20, hot: 20, forced: 4, recast: 4, stored: 6, cold: 3, unknown: 3}

// begin loads what is to be in Redis and in L1, and then sends requests and changes until they are ended.
func begin(t testing.TB, w *world, number int) *traffic {
	t.Helper()
	tr := &traffic{w: w, t: t, h: newHistory(), base: int64(number+1) * perScenario, outbox: make(chan catalog.Change, 10_000)}
	tr.warm()
	ctx, stop := context.WithCancel(context.Background())
	tr.stop = stop
	for g := range gateways {
		for c := range classCount {
			tr.pages.Go(func() { tr.ask(ctx, g, c) })
		}
	}
	lab.Until(t, 20*time.Second, tr.heated)
	ctx, tr.quiet = context.WithCancel(context.Background())
	tr.changes.Go(func() { tr.change(ctx) })
	for range 16 {
		tr.senders.Go(tr.send)
	}
	return tr
}

// warm brings the stored keys into Redis and into the heaps of the cache role, and the popular ones into L1.
func (tr *traffic) warm() {
	tr.t.Helper()
	const batch = 75
	for from := 0; from < storeds; from += batch {
		var q strings.Builder
		for i := range batch {
			fmt.Fprintf(&q, "key=product/%d&", tr.base+fromStored+int64(from+i))
		}
		for _, c := range tr.w.caches { // either may be the owner
			status, body, _, err := tr.w.get(tr.t.Context(), "http://"+c.addr+"/v1/docs?"+q.String())
			if err != nil || status != http.StatusOK {
				tr.t.Fatalf("fill Redis: %d %.200s %v", status, body, err)
			}
		}
	}
	for _, c := range []class{popular, hot, forced, recast} {
		for g := range gateways {
			for _, key := range tr.lasting(c) {
				tr.once(tr.t.Context(), g, c, key)
			}
		}
	}
}

// heated says whether every gateway has its own copy of the hot product.
func (tr *traffic) heated(ctx context.Context) error {
	for _, g := range tr.w.gateways {
		_, _, h, err := tr.w.get(ctx, fmt.Sprintf("http://%s/product?productId=%d", g.addr, tr.lasting(hot)[0]))
		if status := h.Get("Cache-Status"); err != nil || !strings.HasPrefix(status, "eshop; hit") || !strings.Contains(status, "hot;") {
			return fmt.Errorf("the hot product is not hot at %s: %s %v", g.name, status, err)
		}
	}
	return nil
}

// lasting are the keys of a class that is asked for again and again.
func (tr *traffic) lasting(c class) []int64 {
	from, n := map[class]int64{popular: 0, hot: fromHot, forced: fromForced, recast: fromRecast}[c], map[class]int{popular: populars, hot: 1, forced: forceds, recast: recasts}[c]
	keys := make([]int64, n)
	for i := range keys {
		keys[i] = tr.base + from + int64(i) + 1
	}
	return keys
}

// ask sends requests for one class to one gateway, one after the other.
func (tr *traffic) ask(ctx context.Context, gateway int, c class) {
	r := rand.New(rand.NewPCG(uint64(tr.base), uint64(gateway)<<8|uint64(c)))
	zipf := rand.NewZipf(r, 1.1, 1, populars-1)
	keys := tr.lasting(c)
	tick := time.NewTicker(time.Second / time.Duration(paces[c]))
	defer tick.Stop()
	for i := int64(0); ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var key int64
		switch c {
		case popular:
			key = keys[zipf.Uint64()]
		case stored: // each gateway begins elsewhere, so none finds what another has just loaded
			key = tr.base + fromStored + (int64(gateway)*storeds/gateways+i)%storeds
		case cold:
			key = tr.base + fromCold + (i*gateways + int64(gateway))
		case unknown:
			key = unknownFrom + rand.Int64N(1<<40)
		default:
			key = keys[r.IntN(len(keys))]
		}
		tr.once(ctx, gateway, c, key)
	}
}

// once asks for a page and puts down what it shows.
func (tr *traffic) once(ctx context.Context, gateway int, c class, key int64) {
	a := answer{key: key, gateway: int8(gateway), class: c, excused: tr.excused[gateway].Load(), sent: tr.h.now()}
	status, body, header, err := tr.w.get(ctx, fmt.Sprintf("http://%s/product?productId=%d", tr.w.gateways[gateway].addr, key))
	if ctx.Err() != nil {
		return
	}
	a.received = tr.h.now()
	a.excused = a.excused || tr.excused[gateway].Load()
	if err == nil {
		a.status = int16(status)
	}
	number, ok := numberOn(body)
	a.shown, a.bare, a.marked = number, !ok, marked(header)
	tr.h.saw(a)
}

// marked says whether an answer is said to be unchecked, by the gateway that was asked or by the one that it asked.
func marked(h http.Header) bool { return strings.Contains(h.Get("Cache-Status"), `"stale; `) }

// change edits products: now and then one several times in a row, so that its messages race.
func (tr *traffic) change(ctx context.Context) {
	r := rand.New(rand.NewPCG(uint64(tr.base), 77))
	tick := time.NewTicker(70 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		key, op, times := tr.lasting(popular)[r.IntN(populars)], catalog.OpUpdate, 1
		switch i % 8 {
		case 0:
			key = tr.lasting(hot)[0]
		case 2:
			key = tr.lasting(forced)[r.IntN(forceds)]
			if r.IntN(2) == 0 {
				op = catalog.OpForce
			}
		case 4:
			key = tr.lasting(recast)[r.IntN(recasts)]
			if _, _, gone := tr.w.shop.state(key); !gone {
				op = catalog.OpDelete
			}
		case 6:
			times = 4
		}
		for range times {
			tr.edit(key, op)
		}
	}
}

// edit makes one change; its message follows.
func (tr *traffic) edit(key int64, op catalog.Op) {
	announce := key%3 == 0 && key > tr.base && key <= tr.base+populars // of a key that never goes back: a version that is not reached is waited for
	ch := tr.w.shop.write(tr.h, key, op, announce)
	if op == catalog.OpDelete {
		// As senders of the old kind do; that it is gone is found by looking. A message that says so, and is overtaken by
		// a re-creation, is taken for one of an origin that lags: it ends in the dead letters, as the cache role documents.
		ch.Op = catalog.OpUpdate
	}
	tr.outbox <- ch
}

// send publishes messages until the outbox is closed, each until the brokers have it. Half of them have no key and so
// reach any process; now and then one is sent twice.
func (tr *traffic) send() {
	for ch := range tr.outbox {
		value, err := tr.w.cat.EncodeChange(ch)
		if err != nil {
			tr.t.Errorf("encode %v: %v", ch, err)
			continue
		}
		rec := kafka.Record{Topic: tr.w.topic("change"), Value: value}
		if rand.N(2) == 0 {
			rec.Key = []byte(ch.Key.String())
		}
		times := 1
		if rand.N(10) == 0 {
			times = 2
		}
		for times > 0 {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			if err := tr.w.producer.Send(ctx, rec); err == nil {
				times--
			} else if ctx.Err() != nil {
				tr.t.Errorf("the message of %v was not taken within two minutes: %v", ch.Key, err)
				times = 0
			}
			cancel()
		}
	}
}

// calm ends the changes, with a deletion that says so, and waits until the brokers have every message.
func (tr *traffic) calm() {
	tr.quiet()
	tr.changes.Wait()
	tr.outbox <- tr.w.shop.write(tr.h, tr.lasting(recast)[0], catalog.OpDelete, false)
	close(tr.outbox)
	tr.senders.Wait()
}

// end ends the pages.
func (tr *traffic) end() {
	tr.stop()
	tr.pages.Wait()
}

// get reads a whole answer; a redirect or a bad status is no error.
func (w *world) get(ctx context.Context, url string) (status int, body string, h http.Header, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", nil, err
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return 0, "", nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), resp.Header, err
}
