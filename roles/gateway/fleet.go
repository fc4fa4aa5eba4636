package gateway

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"

	"eshop/pkg/admin"
)

// fleetTimeout bounds an answer to another process's console.
const fleetTimeout = 15 * time.Second

// newFleet answers the consoles of other processes on the peer listener. The
// handler gets a context that outlives the request: fasthttp uses its own again,
// which whoever is left behind by a deadline must not see.
func newFleet(r *Role, a *admin.Server) fasthttp.RequestHandler {
	fleet := a.Fleet(r.cluster != nil)
	serve := fasthttpadaptor.NewFastHTTPHandler(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		local, _ := req.Context().Value(http.LocalAddrContextKey).(net.Addr)
		ctx, cancel := context.WithTimeout(context.WithValue(r.base, http.LocalAddrContextKey, local), fleetTimeout)
		defer cancel()
		fleet.ServeHTTP(w, req.WithContext(ctx))
	}))
	return func(ctx *fasthttp.RequestCtx) {
		ctx.SetUserValue(http.LocalAddrContextKey, ctx.LocalAddr()) // as a listener of net/http tells it
		serve(ctx)
	}
}
