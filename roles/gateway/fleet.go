package gateway

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"

	"eshop/pkg/admin"
)

// fleetTimeout bounds an answer to another process's console.
const fleetTimeout = 15 * time.Second

// newFleet answers the consoles of other processes on the peer listener. The
// handler gets a context that outlives the request, and a request that is its own:
// fasthttp uses both again, which whoever is left behind by a deadline must not see.
// A panic ends the answer and not the process, as on a listener of net/http.
func newFleet(r *Role, a *admin.Server) fasthttp.RequestHandler {
	fleet := a.Fleet(r.cluster != nil)
	serve := fasthttpadaptor.NewFastHTTPHandler(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		defer func() {
			if why := recover(); why != nil {
				r.log.Error("the answer to another process's console panicked", "panic", why, "stack", string(debug.Stack()))
				http.Error(w, "the answer panicked: the log of this gateway says where", http.StatusInternalServerError)
			}
		}()
		local, _ := req.Context().Value(http.LocalAddrContextKey).(net.Addr)
		ctx, cancel := context.WithTimeout(context.WithValue(r.base, http.LocalAddrContextKey, local), fleetTimeout)
		defer cancel()
		own, err := ownRequest(ctx, req)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fleet.ServeHTTP(w, own)
	}))
	return func(ctx *fasthttp.RequestCtx) {
		ctx.SetUserValue(http.LocalAddrContextKey, ctx.LocalAddr()) // as a listener of net/http tells it
		serve(ctx)
	}
}

// ownRequest copies a request of the adaptor, whose strings are fasthttp's memory.
// It has no body: a request of a console has none, which its length still tells.
func ownRequest(ctx context.Context, req *http.Request) (*http.Request, error) {
	target, err := url.ParseRequestURI(strings.Clone(req.RequestURI))
	if err != nil {
		return nil, err
	}
	own := &http.Request{Method: strings.Clone(req.Method), URL: target, RequestURI: target.RequestURI(), Host: strings.Clone(req.Host),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: req.RemoteAddr, TLS: req.TLS,
		Header: make(http.Header, len(req.Header)), Body: http.NoBody, ContentLength: req.ContentLength}
	for name, values := range req.Header {
		for _, value := range values {
			own.Header.Add(strings.Clone(name), strings.Clone(value))
		}
	}
	return own.WithContext(ctx), nil
}
