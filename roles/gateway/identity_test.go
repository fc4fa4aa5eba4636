package gateway

import (
	"bytes"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/fastpath"
	"eshop/pkg/tracing"
)

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0"

// With traces a hit costs no allocation either, unless it is traced: the handler
// answers that one then.
func TestFastPathUntraced(t *testing.T) {
	for _, on := range []bool{true, false} {
		t.Run(fmt.Sprint("traces ", on), func(t *testing.T) {
			g := newRig(t, func(c *Config, _ *Deps) {
				if on {
					c.Trace = tracing.Config{Endpoint: "http://127.0.0.1:1", Ratio: 1, PerSecond: 1}
				}
			})
			g.get(t, "/product/7")
			for name, answer := range map[string]func(*fastpath.Request, *fastpath.Answer) bool{
				"public": g.untraced(g.trace.Wants, g.answerHit), "peer": g.untraced(g.peerTraced, g.answerPeer)} {
				a := fastpath.NewAnswer()
				ask := func(traceparent string, now time.Time) (func() bool, *fastpath.Request) {
					q := &fastpath.Request{Conn: 1, Target: []byte("/product/7")}
					if traceparent != "" {
						q.Traceparent = []byte(traceparent)
					}
					return func() bool {
						a.Reset()
						a.Now = now
						return answer(q, a)
					}, q
				}
				now := time.Now()
				for _, header := range []string{"", traceparent + "0", "nonsense"} {
					hit, _ := ask(header, now)
					if n := testing.AllocsPerRun(200, func() {
						if !hit() {
							t.Fatalf("%s: a hit with traceparent %q is not answered", name, header)
						}
					}); n != 0 {
						t.Errorf("%s: %v allocations a hit with traceparent %q, want none", name, n, header)
					}
				}
				traced, _ := ask(traceparent+"1", now.Add(time.Hour)) // a second of which the budget is not spent
				if quick := traced(); quick == on {
					t.Errorf("%s: a traced hit is answered by the fast path: %v", name, quick)
				}
			}
		})
	}
}

// A request has one id, its own if that is fit, and whoever gets an error is told it.
func TestRequestID(t *testing.T) {
	var log bytes.Buffer
	g := newRig(t, func(c *Config, d *Deps) {
		c.ClusterToken = "secret"
		d.Log = slog.New(tracing.Logs(slog.NewTextHandler(&log, nil)))
	})
	g.cache.fail[keyP7], g.redis.down = true, true
	ours := regexp.MustCompile(`^[0-9a-f]{24}$`)
	for _, c := range []struct {
		name, method, target string
		handler              fasthttp.RequestHandler
		code                 int
	}{
		{"no such path", "GET", "/nothing", g.servePublic, 404},
		{"bad id", "GET", "/product/07", g.servePublic, 400},
		{"bad id, JSON", "GET", "/product/07.json", g.servePublic, 400},
		{"method", "POST", "/product/7", g.servePublic, 405},
		{"cannot be had", "GET", "/product/7", g.servePublic, 503},
		{"cannot be had, JSON", "GET", "/product/7.json", g.servePublic, 503},
		{"batch", "GET", "/api/v1/products?ids=7", g.servePublic, 503},
		{"bad batch", "GET", "/api/v1/products", g.servePublic, 400},
		{"no token", "GET", "/product/7", g.servePeer, 401},
	} {
		for given, kept := range map[string]bool{"order-4711": true, "": false, `<script>"`: false, "two words": false, strings.Repeat("x", 129): false} {
			log.Reset()
			ctx := ask(c.handler, c.method, c.target, "X-Request-Id", given)
			id, body := header(ctx, "X-Request-Id"), string(ctx.Response.Body())
			if ctx.Response.StatusCode() != c.code {
				t.Fatalf("%s: %d, want %d", c.name, ctx.Response.StatusCode(), c.code)
			}
			if kept && id != given || !kept && !ours.MatchString(id) {
				t.Errorf("%s: the id %.40q became %q", c.name, given, id)
			}
			if !strings.Contains(body, id) || given != "" && !kept && strings.Contains(body, given) {
				t.Errorf("%s: want the id %s in %s", c.name, id, body)
			}
			if c.code == 503 && !strings.Contains(log.String(), `msg="a page cannot be had"`) || log.Len() > 0 && !strings.Contains(log.String(), "request="+id) {
				t.Errorf("%s: want the id %s in the log:\n%s", c.name, id, log.String())
			}
		}
	}
	g.overload.limit.Store(0)
	for _, target := range []string{"/product/9", "/product/9.json"} {
		if ctx := g.get(t, target, "X-Request-Id", "order-4711"); ctx.Response.StatusCode() != 503 || !strings.Contains(string(ctx.Response.Body()), "order-4711") {
			t.Errorf("refused: %d, want the id in %s", ctx.Response.StatusCode(), ctx.Response.Body())
		}
	}
}
