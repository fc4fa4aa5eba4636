package roles_test

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"eshop/pkg/kafka"
	"eshop/pkg/lab/collector"
)

// traced is a fleet that sends traces to a collector.
type traced struct {
	*fleet
	collector *collector.Collector
	product   int64  // of which the first gateway has asked its owner
	owner     string // the other gateway that this is
}

func newTraced(t *testing.T, s shape) *traced {
	t.Helper()
	c := collector.Start(t)
	// None begins by chance: a trace is what the test asks for.
	s.flags = []string{"--trace.endpoint", c.URL(), "--trace.ratio", "0"}
	s.cacheFlags = s.flags
	return &traced{fleet: newFleet(t, s, quickRule()), collector: c}
}

// traceparent is the header of a new trace, which is sampled.
func traceparent(t *testing.T) (trace, header string) {
	t.Helper()
	var b [24]byte
	if _, err := rand.Read(b[:]); err != nil {
		t.Fatal(err)
	}
	trace = hex.EncodeToString(b[:16])
	return trace, "00-" + trace + "-" + hex.EncodeToString(b[16:]) + "-01"
}

// elsewhere returns a product that another gateway than the first one owns, and the owner's id.
func (f *traced) elsewhere(from int64) (product int64, owner string) {
	f.t.Helper()
	for product = from; product < from+50; product++ {
		var said struct {
			Answer struct {
				Says string
				Page struct{ Owner string }
			}
		}
		f.explain(0, page(product), &said)
		if owner = said.Answer.Page.Owner; owner != "gateway-0" && owner != "" {
			if !strings.Contains(said.Answer.Says, "its owner "+owner+" is asked") {
				f.t.Errorf("of a page of %s: %q", owner, said.Answer.Says)
			}
			return product, owner
		}
	}
	f.t.Fatal("the first gateway owns 50 products in a row")
	return 0, ""
}

// explain asks a gateway's admin listener about a URL.
func (f *traced) explain(gateway int, target string, into any) {
	f.t.Helper()
	at := strings.TrimPrefix(strings.TrimSuffix(f.admins[gateway], "/"), "http://")
	a := (&fleet{t: f.t, client: f.client}).get(at, "/api/explain?url="+url.QueryEscape("https://shop.example"+target))
	if err := json.Unmarshal([]byte(a.body), into); err != nil || a.status != http.StatusOK {
		f.t.Fatalf("explain %s: %d %v in %s", target, a.status, err, a.body)
	}
}

// untilTraced waits for a trace and returns it as a tree, in which a process stands by its part.
func (f *traced) untilTraced(trace string, complete func(spans []collector.Span) bool) ([]collector.Span, string) {
	f.t.Helper()
	var spans []collector.Span
	f.untilEvery(20*time.Millisecond, "the trace is complete", func() (bool, string) {
		spans = f.collector.Of(trace)
		return complete(spans), collector.Tree(spans)
	})
	part := slices.Clone(spans)
	for i := range part {
		switch id := part[i].Instance; {
		case id == "gateway-0":
			part[i].Instance = "first"
		case id == f.owner:
			part[i].Instance = "owner"
		case strings.HasPrefix(id, "gateway-"):
			part[i].Instance = "gateway"
		default:
			part[i].Instance = "cache"
		}
	}
	return spans, collector.Tree(part, "eshop.document", "eshop.layer", "eshop.outcome", "http.response.status_code")
}

// count is how many spans have a name.
func count(spans []collector.Span, name string) (n int) {
	for _, s := range spans {
		if s.Name == name {
			n++
		}
	}
	return n
}

func TestTraces(t *testing.T) {
	for _, s := range []shape{
		{name: "on embedded servers", split: true},
		{name: "on real servers", real: true, split: true},
	} {
		t.Run(s.name, func(t *testing.T) {
			f := newTraced(t, s)
			unsampled, parent := traceparent(t)
			if a := f.get(f.gateways[1], page(990), "traceparent", strings.TrimSuffix(parent, "1")+"0"); a.status != http.StatusOK {
				t.Fatalf("%d %s", a.status, a.body)
			}
			for _, part := range []struct {
				name string
				body func(*testing.T, *traced)
			}{
				{"a cold page at the wrong gateway", tracedMiss}, {"the same page, which its owner has now", tracedHop}, {"a change", tracedChange},
				{"the request's id", tracedFailure},
			} {
				t.Run(part.name, func(t *testing.T) {
					f.t = t
					part.body(t, f)
				})
			}
			if spans := f.collector.Of(unsampled); len(spans) > 0 {
				t.Errorf("of a trace that is not sampled:\n%s", collector.Tree(spans))
			}
		})
	}
}

// missTree is the trace of a page that nobody has, at a gateway that does not own it: product and shop are each pulled.
const missTree = `first server GET /product under PARENT eshop.document=product/ID eshop.layer=peer http.response.status_code=200
  first client ask the owner's memory eshop.outcome=not there
  first client ask the owner eshop.document=product/ID http.response.status_code=200
    owner server GET /product eshop.document=product/ID eshop.layer=origin http.response.status_code=200
      owner internal load page eshop.layer=origin eshop.outcome=stored
        owner client redis get-many
        owner client GET /v1/doc eshop.document=product/ID eshop.layer=origin http.response.status_code=200
          cache server GET /v1/doc/{kind}/{id} eshop.document=product/ID eshop.layer=origin http.response.status_code=200
            cache internal load document eshop.document=product/ID eshop.layer=origin
              cache client redis get
              cache client zookeeper token
              cache client zookeeper lock
              cache client redis get
              cache internal pull eshop.document=product/ID eshop.outcome=live
                cache client GET http.response.status_code=200
              cache client redis compare-and-set eshop.outcome=accepted
        owner client redis get-many
        owner client GET /v1/doc eshop.document=shop/SHOP eshop.layer=origin http.response.status_code=200
          cache server GET /v1/doc/{kind}/{id} eshop.document=shop/SHOP eshop.layer=origin http.response.status_code=200
            cache internal load document eshop.document=shop/SHOP eshop.layer=origin
              cache client redis get
              cache client zookeeper token
              cache client zookeeper lock
              cache client redis get
              cache internal pull eshop.document=shop/SHOP eshop.outcome=live
                cache client GET http.response.status_code=200
              cache client redis compare-and-set eshop.outcome=accepted
`

func tracedMiss(t *testing.T, f *traced) {
	var a answer
	var trace, parent string
	// On a machine that stands still for a second the page is loaded at the first gateway: then another one is taken.
	for f.product = 300; f.product < 330 && !strings.Contains(a.header.Get("Cache-Status"), "peer; owner="); {
		f.product, f.owner = f.elsewhere(f.product + 1)
		trace, parent = traceparent(t)
		a = f.get(f.gateways[0], page(f.product), "traceparent", parent, "X-Request-Id", "order-4711")
	}
	product, shop := f.product, f.product-300 // cold too: a fleet begins with shop 50
	if a.status != http.StatusOK || a.header.Get("X-Request-Id") != "order-4711" {
		t.Fatalf("%d, id %q: %s", a.status, a.header.Get("X-Request-Id"), a.body)
	}
	spans, got := f.untilTraced(trace, func(spans []collector.Span) bool {
		return slices.ContainsFunc(spans, func(s collector.Span) bool { return s.Instance == "gateway-0" && s.Kind == "server" }) &&
			count(spans, "redis compare-and-set") == 2 && count(spans, "load page") == 1 && count(spans, "GET /product") >= 2 && count(spans, "GET /v1/doc/{kind}/{id}") == 2
	})
	// An owner that could be asked so says that it has nothing; the first question of all opens the connection.
	got = strings.Replace(got, "    owner server GET /product eshop.document=product/"+fmt.Sprint(product)+" eshop.layer=none http.response.status_code=504\n", "", 1)
	want := strings.NewReplacer("PARENT", parent[36:52], "ID", fmt.Sprint(product), "SHOP", fmt.Sprint(shop)).Replace(missTree)
	if got != want {
		t.Errorf("got the trace\n%swant\n%s", got, want)
	}
	for _, s := range spans {
		if id := s.Attributes["eshop.request.id"]; s.Kind == "server" && id != "order-4711" {
			t.Errorf("%s %s is of the request %q", s.Instance, s.Name, id)
		}
		if s.Error != "" {
			t.Errorf("%s %s failed: %s", s.Instance, s.Name, s.Error)
		}
	}
}

// tracedHop: an owner that has the page is asked once, and its part of the answer is in the trace.
func tracedHop(t *testing.T, f *traced) {
	trace, parent := traceparent(t)
	f.get(f.gateways[0], page(f.product), "traceparent", parent)
	_, got := f.untilTraced(trace, func(spans []collector.Span) bool { return count(spans, "GET /product") == 2 })
	want := fmt.Sprintf(`first server GET /product under %[2]s eshop.document=product/%[1]d eshop.layer=peer http.response.status_code=200
  first client ask the owner's memory eshop.document=product/%[1]d http.response.status_code=200
    owner server GET /product eshop.document=product/%[1]d eshop.layer=l1 http.response.status_code=200
`, f.product, parent[36:52])
	if got != want {
		t.Errorf("got the trace\n%swant\n%s", got, want)
	}
}

// changeTree is the trace of a change, without those who hear of it.
const changeTree = `cache consumer apply change under PARENT eshop.document=product/ID eshop.outcome=applied
  cache client zookeeper token
  cache client zookeeper lock
  cache internal pull eshop.document=product/ID eshop.outcome=live
    cache client GET http.response.status_code=200
  cache client redis compare-and-set eshop.outcome=accepted
  cache producer publish invalidation eshop.document=product/ID
`

func tracedChange(t *testing.T, f *traced) {
	product := f.product
	trace, parent := traceparent(t)
	f.edit(http.MethodPut, fmt.Sprint("/products/", product), `{"name":"Lamp, changed","price":1.5,"shopId":1}`)
	err := f.producer.Send(t.Context(), kafka.Record{Topic: f.topic("change"), Value: fmt.Appendf(nil, `{"serviceId":"productInfoService","productId":%d}`, product),
		Headers: []kafka.Header{{Name: "traceparent", Value: parent}}})
	if err != nil {
		t.Fatal(err)
	}
	const heard = "apply invalidation"
	spans, got := f.untilTraced(trace, func(spans []collector.Span) bool {
		return count(spans, heard) == fleetGateways+fleetCaches && count(spans, "apply change") == 1 && count(spans, "publish invalidation") == 1
	})
	var rest strings.Builder
	for line := range strings.Lines(got) {
		if !strings.HasPrefix(line, "    ") || !strings.Contains(line, heard) {
			rest.WriteString(line)
		}
	}
	if want := strings.NewReplacer("PARENT", parent[36:52], "ID", fmt.Sprint(product)).Replace(changeTree); rest.String() != want {
		t.Errorf("got the trace\n%swant\n%s", got, want)
	}
	var published collector.Span
	var at []string
	for _, s := range spans {
		if s.Name == "publish invalidation" {
			published = s
		}
	}
	for _, s := range spans {
		stamp := s.Attributes["eshop.stamp"]
		if s.Name == heard {
			if at = append(at, s.Instance); s.Parent != published.ID || !slices.Equal(s.Links, []string{published.ID}) {
				t.Errorf("%s applies an invalidation below %s, linked to %v; want both to be the publishing, %s", s.Instance, s.Parent, s.Links, published.ID)
			}
		} else if s.Name != "redis compare-and-set" {
			continue
		}
		if stamp == "" || stamp != published.Attributes["eshop.stamp"] {
			t.Errorf("%s %s has the stamp %q, published was %q", s.Instance, s.Name, stamp, published.Attributes["eshop.stamp"])
		}
	}
	if slices.Sort(at); strings.Join(at, " ") != "cache-0 cache-1 gateway-0 gateway-1 gateway-2" {
		t.Errorf("the invalidation was applied at %v, want everywhere once", at)
	}
}

// tracedFailure: the id that a request came with stands in the error that the client gets and in the log of each process
// that it went through.
func tracedFailure(t *testing.T, f *traced) {
	f.shop.SetFailing(http.StatusInternalServerError)
	defer f.shop.SetFailing(0)
	product, owner := f.elsewhere(401)
	for _, path := range []string{page(product), fmt.Sprintf("/product/%d.json", product), fmt.Sprint("/api/v1/products?ids=", product)} {
		id := "order-" + hex.EncodeToString([]byte(path))
		trace, parent := traceparent(t)
		a := f.get(f.gateways[0], path, "X-Request-Id", id, "traceparent", parent)
		if a.status != http.StatusServiceUnavailable || a.header.Get("X-Request-Id") != id || !strings.Contains(a.body, id) {
			t.Errorf("%s: %d, id %q in the header; want 503, and %s there and in\n%s", path, a.status, a.header.Get("X-Request-Id"), id, a.body)
		}
		for name, text := range map[string]string{"gateway-0": "a page cannot be had", owner: "a page cannot be had", "cache": "a document cannot be had"} {
			f.until(name+" has the request in its log", func() (bool, string) {
				var log string
				for process, p := range f.processes {
					if strings.HasPrefix(process, name) {
						log += p.Stderr()
					}
				}
				return oneLineHas(log, text, "request="+id, "trace="+trace), log
			})
		}
	}
}

// TestTracesWithoutCollector: a collector that is gone, hangs or refuses delays and fails nothing, however much is traced.
func TestTracesWithoutCollector(t *testing.T) {
	for name, away := range map[string]func(*collector.Collector) string{
		"gone":    func(*collector.Collector) string { return "http://127.0.0.1:1" },
		"hangs":   func(c *collector.Collector) string { c.Hold(); return c.URL() },
		"refuses": func(c *collector.Collector) string { c.Fail(http.StatusForbidden); return c.URL() },
	} {
		t.Run(name, func(t *testing.T) {
			flags := []string{"--trace.endpoint", away(collector.Start(t)), "--trace.ratio", "1", "--trace.per-second", "100000"}
			f := newFleet(t, shape{split: true, gateways: 2, flags: flags, cacheFlags: flags}, quickRule())
			const products = 150 // some 30 spans each at both gateways, more than wait at a time
			began := time.Now()
			for product := int64(1); product <= products; product++ {
				for _, g := range f.gateways {
					if a := f.get(g, page(product)); a.status != http.StatusOK {
						t.Fatalf("page %d at %s: %d %s", product, g, a.status, a.body)
					}
				}
			}
			// Whoever waited for the collector, even once for each page, would take a quarter of an hour.
			if took := time.Since(began); took > 2*time.Minute {
				t.Errorf("%d pages took %v", 2*products, took)
			}
			f.edit(http.MethodPut, "/products/1", `{"name":"Lamp, traced in vain","price":1.0,"shopId":1}`)
			f.change(`{"serviceId":"productInfoService","productId":1}`)
			for _, g := range f.gateways {
				f.until("the change shows", func() (bool, string) {
					a := f.get(g, page(1))
					return strings.Contains(a.body, "traced in vain"), a.body
				})
			}
			f.until("spans are given up, and counted", func() (bool, string) {
				lost := f.metric(`eshop_trace_spans_total{outcome="dropped",role="gateway"}`) + f.metric(`eshop_trace_spans_total{outcome="failed",role="gateway"}`)
				return lost > 0, fmt.Sprint(lost)
			})
		})
	}
}
