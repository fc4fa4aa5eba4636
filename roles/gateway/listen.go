package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/fastpath"
)

// passed are listeners that outlive this process: a service manager keeps them
// open from one process to the next. What connects in between waits in their
// queues, so that a restart refuses nobody. For that
//
//   - the old process goes on accepting while it tells its clients to close, and
//     leaves to the new one only what it has not accepted;
//   - the new process accepts when it is ready, not before: nobody but itself
//     can keep requests away from it that it cannot answer yet.
type passed struct{ public, peer net.Listener }

// addressed gives a configuration the addresses of these listeners, beyond loopback of which a token may be needed
// where the configured ones need none.
func (p passed) addressed(cfg *Config) {
	if p.public != nil {
		cfg.Addr = p.public.Addr().String()
	}
	if p.peer != nil {
		cfg.PeerAddr = p.peer.Addr().String()
	}
}

// open returns the listener that was passed, or binds one.
func (r *Role) open(given net.Listener, name, addr string) (net.Listener, error) {
	if given != nil {
		r.log.Info("the "+name+" listener is one that the service manager keeps open", "addr", given.Addr().String())
		return given, nil
	}
	return net.Listen("tcp", addr)
}

// holdMargin is how long, beyond the time to warm up, a gateway that was passed
// its public listener waits to be ready. Then it accepts in any case, as it would
// with a listener of its own: what memory and the servers that are there can
// answer must not wait for one that is away.
const holdMargin = 5 * time.Second

// hold reports false when ctx ended first: then nothing is to be accepted any more.
func (r *Role) hold(ctx context.Context) bool {
	if r.passed.public == nil {
		return true
	}
	limit := r.cfg.WarmTimeout + holdMargin
	wait, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if r.ready.Wait(wait) != nil && ctx.Err() == nil {
		r.log.Warn("this gateway accepts requests without being ready", "after", limit, "reasons", r.ready.Reasons())
	}
	return ctx.Err() == nil
}

// runPublic serves the public until ctx ends.
func (r *Role) runPublic(ctx context.Context) error {
	if !r.hold(ctx) {
		return r.listener.Close()
	}
	return r.serveOn(ctx, r.publicServer(), r.listener, r.fast, "public")
}

const (
	// drainTimeout bounds the end of requests under way when a listener stops.
	drainTimeout = 10 * time.Second
	// tellTimePassed is for how long at most clients are told to close, by their next
	// answer, before a public listener stops that goes on without this process. It is
	// as long as connections that have had an answer are kept for another request
	// (package fastpath): those that are open at its end are idle for longer, so that
	// the stop has nothing more to wait for while others wait in the queue.
	tellTimePassed = 5 * time.Second
)

// serveOn serves until ctx ends and then stops in three steps: every answer tells
// the client to close, whoever is answered by the fast path goes to the server for
// that; the listener closes; connections end that are idle, and requests under way
// are waited for. So no connection ends in place of an answer, but for one that was
// idle for five seconds and gets a request at that very moment, or one that an
// unusual request has made the server's alone. The server itself is shut down when
// nothing is left to lose: what it takes for idle may have been answered before
// anything said that the stop had begun, and be about to send another request.
func (r *Role) serveOn(ctx context.Context, s *fasthttp.Server, l net.Listener, fast *fastpath.Listener, name string) error {
	var closing atomic.Bool
	handler := s.Handler
	s.Handler = func(ctx *fasthttp.RequestCtx) {
		handler(ctx)
		if closing.Load() {
			ctx.Response.SetConnectionClose()
		}
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	scheme := r.tls.Scheme()
	if name == "peer" {
		scheme = r.cluster.Scheme()
	}
	r.log.Info(name+" listener is open", "url", scheme+"://"+l.Addr().String()+"/")
	select {
	case err := <-served:
		return fmt.Errorf("serve %s requests on %s: %w", name, l.Addr(), err)
	case <-ctx.Done():
	}
	closing.Store(true)
	fast.Drain()
	if name == "public" && r.passed.public != nil {
		untilClosed(fast, tellTimePassed)
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	l.Close()
	fast.Leave()
	untilClosed(fast, drainTimeout)
	if err := s.ShutdownWithContext(drain); err != nil && !errors.Is(err, net.ErrClosed) {
		r.log.Warn("requests were cut off", "listener", name, "err", err)
	}
	if err := <-served; err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("serve %s requests on %s: %w", name, l.Addr(), err)
	}
	return nil
}

// untilClosed waits until a listener has no connection, at most for so long. It
// counts ticks, not the time: while the process stands still, on a machine that has
// other things to do, it tells nobody to close either.
func untilClosed(l *fastpath.Listener, limit time.Duration) {
	const step = 5 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	for waited := time.Duration(0); l.Open() > 0 && waited < limit; waited += step {
		<-tick.C
	}
}

// clientRefused is told of a connection of the public on which TLS did not come
// about: scanners, for the most part.
func (r *Role) clientRefused(from net.Addr, err error) {
	r.metrics.handshakesFailed.Inc()
	r.log.Debug("a TLS handshake with a client failed", "client", from.String(), "err", err)
}

// peerRefused is the same for the peer listener, which strangers should not reach.
func (r *Role) peerRefused(from net.Addr, err error) {
	r.metrics.peerHandshakesFailed.Inc()
	if errors.Is(err, io.EOF) { // it said nothing: a probe of the port
		return
	}
	r.log.Warn("a TLS handshake with another gateway failed", "gateway", from.String(), "err", err)
}
