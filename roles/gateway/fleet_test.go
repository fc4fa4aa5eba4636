package gateway

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"eshop/pkg/admin"
)

// TestFleetRequestIsItsOwn: what a handler keeps of a request stays, whatever comes on the connection next; and a
// handler that panics does not end the process.
func TestFleetRequestIsItsOwn(t *testing.T) {
	var log strings.Builder
	r := &Role{log: slog.New(slog.NewTextHandler(&log, nil)), base: t.Context()}
	a := admin.New(admin.Config{ClusterToken: "cluster"}, admin.Deps{})
	var kept []*http.Request
	a.Handle("/api/keep", http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { kept = append(kept, req) }))
	a.Handle("/api/panic", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("no such thing") }))
	fleet := newFleet(r, a)
	var ctx fasthttp.RequestCtx
	ask := func(target, by string) int {
		ctx.Request.Reset()
		ctx.Response.Reset()
		ctx.Request.SetRequestURI(admin.FleetPath + target)
		ctx.Request.Header.Set("Authorization", "Bearer cluster")
		ctx.Request.Header.Set("Eshop-Author", by)
		fleet(&ctx)
		return ctx.Response.StatusCode()
	}
	for _, who := range []string{"alice", "carol"} {
		if code := ask("/api/keep?id="+who, who); code != http.StatusOK {
			t.Fatalf("%s: got %d", who, code)
		}
	}
	for i, who := range []string{"alice", "carol"} {
		if id, by := kept[i].URL.Query().Get("id"), admin.Author(kept[i]); id != who || by != who {
			t.Errorf("of %s was kept the id %q, by %q", who, id, by)
		}
	}
	if code := ask("/api/panic", "alice"); code != http.StatusInternalServerError || !strings.Contains(log.String(), "no such thing") {
		t.Errorf("after a panic: got %d and the log %q", code, log.String())
	}
	if code := ask("/api/keep?id=x", "x"); code != http.StatusOK {
		t.Errorf("after the panic: got %d", code)
	}
}
