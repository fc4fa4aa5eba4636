package docapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/coalesce"
	"eshop/pkg/credential"
	"eshop/pkg/ring"
	"eshop/pkg/tracing"
)

// Members tells who serves the contract now.
type Members interface {
	// Ring of the live members, nil or empty when none is known.
	Ring() *ring.Ring
	// Eject takes a member that did not answer out of the ring for a while.
	Eject(id string, reason error)
}

// ClientConfig configures NewClient.
type ClientConfig struct {
	// Tokens, of which the first is shown; nil: none.
	Tokens *credential.Tokens
	// Timeout of one HTTP request (default 3 s); the caller's context counts too.
	Timeout time.Duration
	// Connections kept to one member (default 64).
	Connections int
	// Dial connects to a member within a time (default: plain TCP).
	Dial func(ctx context.Context, addr string, timeout time.Duration) (net.Conn, error)
}

// Deps are the client's collaborators.
type Deps struct{ Log *slog.Logger }

// Client asks the cache role. It is safe for concurrent use.
type Client struct {
	cfg     ClientConfig
	members Members
	http    *http.Client
	log     *slog.Logger
	// Probes have connections of their own: a pool full of requests that wait
	// for a slow origin says nothing about the member.
	pings  *http.Client
	probes *coalesce.Group[ring.Member, struct{}]
}

// probeTimeout is how long a member may take to say that it serves at all.
const probeTimeout = 500 * time.Millisecond

// NewClient does no I/O.
func NewClient(cfg ClientConfig, members Members, deps Deps) *Client {
	if cfg.Timeout <= 0 {
		cfg.Timeout = 3 * time.Second
	}
	if cfg.Connections <= 0 {
		cfg.Connections = 64
	}
	if cfg.Dial == nil {
		cfg.Dial = func(ctx context.Context, addr string, timeout time.Duration) (net.Conn, error) {
			return (&net.Dialer{Timeout: timeout, KeepAlive: 15 * time.Second}).DialContext(ctx, "tcp", addr)
		}
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	return &Client{cfg: cfg, members: members, log: deps.Log,
		http:   newHTTP(cfg, cfg.Connections*4, cfg.Connections, cfg.Timeout),
		pings:  newHTTP(cfg, 4, 1, probeTimeout),
		probes: coalesce.New[ring.Member, struct{}](coalesce.Config{Timeout: probeTimeout})}
}

func newHTTP(cfg ClientConfig, connections, idle int, timeout time.Duration) *http.Client {
	tr := &http.Transport{
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			return cfg.Dial(ctx, addr, 500*time.Millisecond)
		},
		MaxConnsPerHost:     connections,
		MaxIdleConnsPerHost: idle,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,
	}
	return &http.Client{Transport: tr, Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Close ends idle connections.
func (c *Client) Close() {
	c.http.CloseIdleConnections()
	c.pings.CloseIdleConnections()
}

// owners returns whom to ask, in order: the owner and the one after it.
func (c *Client) owners(key catalog.Key) []ring.Member {
	r := c.members.Ring()
	if r == nil {
		return nil
	}
	return r.Owners(ring.Hash(key.Kind, key.ID), 2)
}

var errNoMember = &Unavailable{Reason: "no cache process is known", RetryAfter: time.Second}

// Get asks the owner of a document, and the next owner when it is unreachable.
// An answer that the owner gave, even a bad one, is not asked for twice.
func (c *Client) Get(ctx context.Context, req Request) (Reply, error) {
	err := error(errNoMember)
	owners := c.owners(req.Key)
	for i, m := range owners {
		var reply Reply
		reply, err = c.getFrom(ctx, m, req, i < len(owners)-1)
		if !c.unreachable(ctx, m, err) {
			return reply, err
		}
	}
	return Reply{}, err
}

// share gives a request two thirds of the caller's time when there is another
// owner to be asked after it.
func share(ctx context.Context, more bool) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok && more {
		return context.WithTimeout(ctx, time.Until(deadline)*2/3)
	}
	return context.WithCancel(ctx)
}

// unreachable takes m out of the ring if err says that it does not serve, and
// reports whether the next owner should be asked. A caller that has left says
// nothing about m, and neither does a time-out: the origin may be slow. Only a
// process that is stopped, or a host that is gone, does not answer a probe either.
func (c *Client) unreachable(ctx context.Context, m ring.Member, err error) bool {
	var ne *unreachableError
	if !errors.As(err, &ne) || errors.Is(ctx.Err(), context.Canceled) || isTimeout(err) && !c.silent(ctx, m) {
		return false
	}
	c.members.Eject(m.ID, ne.err)
	c.log.WarnContext(ctx, "cache member is unreachable", "member", m.ID, "addr", m.Addr, "err", ne.err)
	return ctx.Err() == nil
}

// isTimeout tells a late answer from a connection that could not be made.
func isTimeout(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return false
	}
	var ne net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}

// silent probes a member; whoever wants to know at the same time shares the
// probe. It has its own time, for the caller's may be up.
func (c *Client) silent(ctx context.Context, m ring.Member) bool {
	_, _, err := c.probes.Do(context.WithoutCancel(ctx), m, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, c.Probe(ctx, m)
	})
	return err != nil && !errors.Is(err, coalesce.ErrOverloaded)
}

type unreachableError struct {
	member ring.Member
	err    error
}

func (e *unreachableError) Error() string {
	return fmt.Sprintf("ask cache member %s at %s: %v", e.member.ID, e.member.Addr, e.err)
}
func (e *unreachableError) Unwrap() error { return e.err }

func (c *Client) do(ctx context.Context, over *http.Client, m ring.Member, path string, q url.Values) (*http.Response, error) {
	u := url.URL{Scheme: "http", Host: m.Addr, Path: path, RawQuery: q.Encode()}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("ask cache member %s: %w", m.ID, err)
	}
	if show := c.cfg.Tokens.Header(); show != "" {
		r.Header.Set("Authorization", show)
	}
	tracing.Inject(ctx, r.Header.Set)
	span := tracing.Current(ctx)
	if span.On() {
		span.Set(tracing.HTTPCall(r.Method, r.URL.String(), m.Addr)...)
	}
	resp, err := over.Do(r)
	if err != nil {
		return nil, &unreachableError{m, err}
	}
	if span.On() {
		span.Set(tracing.HTTPStatus(resp.StatusCode))
	}
	return resp, nil
}

// pingPath answers 204 whenever the process serves at all.
const pingPath = "/v1/ping"

// Probe asks a member whether it serves; membership calls it for one that was
// ejected. A process that is stopped, not dead, accepts and does not answer.
func (c *Client) Probe(ctx context.Context, m ring.Member) error {
	ctx, span := tracing.Start(ctx, tracing.Client, "GET "+pingPath)
	defer span.End()
	resp, err := c.do(ctx, c.pings, m, pingPath, nil)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("probe cache member %s at %s: it answered %s", m.ID, m.Addr, resp.Status)
	}
	return nil
}

func (c *Client) getFrom(ctx context.Context, m ring.Member, req Request, more bool) (reply Reply, err error) {
	ctx, span := tracing.Start(ctx, tracing.Client, "GET /v1/doc")
	defer func() {
		if span.On() {
			span.Set(tracing.Document(req.Key))
			if span.Fail(err); err == nil {
				span.Set(tracing.Layer(string(reply.Layer)))
				span.Set(tracing.Copy(reply.Document)...)
			}
		}
		span.End()
	}()
	ctx, cancel := share(ctx, more)
	defer cancel()
	q := url.Values{}
	if !req.Min.IsZero() {
		q.Set("min", req.Min.String())
	}
	if req.Revalidate {
		q.Set("revalidate", "1")
	}
	resp, err := c.do(ctx, c.http, m, "/v1/doc/"+req.Key.Kind+"/"+strconv.FormatInt(req.Key.ID, 10), q)
	if err != nil {
		return Reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return Reply{}, &unreachableError{m, err}
	}
	state := resp.Header.Get(headerState)
	switch {
	case resp.StatusCode == http.StatusOK && len(body) <= maxDocument:
	case resp.StatusCode == http.StatusNotFound && state != "":
		body = nil
	default:
		return Reply{}, answerError(m, resp, body)
	}
	reply, err = metaFromHeaders(req.Key, resp.Header).reply(body)
	if err != nil {
		return Reply{}, fmt.Errorf("read the answer of cache member %s for %v: %w", m.ID, req.Key, err)
	}
	return reply, nil
}

func answerError(m ring.Member, resp *http.Response, body []byte) error {
	var said struct{ Error string }
	json.Unmarshal(body, &said) // an answer of another shape has no sentence of its own
	if resp.StatusCode == http.StatusServiceUnavailable {
		s, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return &Unavailable{Reason: said.Error, RetryAfter: time.Duration(max(1, s)) * time.Second}
	}
	return fmt.Errorf("cache member %s at %s answered %s: %s", m.ID, m.Addr, resp.Status, said.Error)
}

// GetMany asks for several documents, one HTTP request for each owner and at
// most MaxBatch keys in one. Results are in the order of reqs.
func (c *Client) GetMany(ctx context.Context, reqs []Request) []Result {
	out := make([]Result, len(reqs))
	if len(reqs) == 1 {
		out[0].Reply, out[0].Err = c.Get(ctx, reqs[0])
		return out
	}
	byOwner := map[ring.Member][]int{}
	for i, r := range reqs {
		owners := c.owners(r.Key)
		if len(owners) == 0 || r.Revalidate { // the batch form has no word for it
			out[i].Reply, out[i].Err = c.Get(ctx, r)
			continue
		}
		byOwner[owners[0]] = append(byOwner[owners[0]], i)
	}
	var wg sync.WaitGroup
	for m, idx := range byOwner {
		for len(idx) > 0 {
			part := idx[:min(len(idx), MaxBatch)]
			idx = idx[len(part):]
			wg.Go(func() { c.batchFrom(ctx, m, reqs, part, out) })
		}
	}
	wg.Wait()
	return out
}

// batchFrom fills out[i] for each i of idx; goroutines fill disjoint members.
func (c *Client) batchFrom(ctx context.Context, m ring.Member, reqs []Request, idx []int, out []Result) {
	q := url.Values{}
	for _, i := range idx {
		q.Add("key", formatKey(reqs[i]))
	}
	done := 0
	err := func() (err error) {
		ctx, span := tracing.Start(ctx, tracing.Client, "GET /v1/docs")
		defer func() {
			span.Fail(err)
			span.End()
		}()
		ctx, cancel := share(ctx, len(c.owners(reqs[idx[0]].Key)) > 1)
		defer cancel()
		resp, err := c.do(ctx, c.http, m, "/v1/docs", q)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			body, _ := io.ReadAll(io.LimitReader(resp.Body, maxMeta))
			return answerError(m, resp, body)
		}
		r := bufio.NewReaderSize(resp.Body, 32<<10)
		for _, i := range idx {
			res, err := readFrame(r, reqs[i].Key)
			if err != nil {
				return &unreachableError{m, err}
			}
			out[i] = res
			done++
		}
		return nil
	}()
	if err == nil {
		return
	}
	retry := c.unreachable(ctx, m, err)
	for _, i := range idx[done:] {
		if retry { // the member is out of the ring now: each key goes to its next owner
			out[i].Reply, out[i].Err = c.Get(ctx, reqs[i])
		} else {
			out[i].Err = err
		}
	}
}
