package console

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"eshop/pkg/admin"
	"eshop/pkg/certificate"
	"eshop/pkg/membership"
)

// Bounds of asking others.
const (
	maxPeers    = 256             // other processes; members of further ones are counted only
	atOnce      = 16              // asked at the same time
	askLimit    = 2 * time.Second // for one report
	lookLimit   = 5 * time.Second // for all of them
	lookFresh   = 2 * time.Second // a view serves all pages for so long
	relayLimit  = 12 * time.Second
	maxAnswer   = 8 << 20
	relayHeader = "Eshop-Relayed" // what has it is not passed on again
)

// peer is a process as this one knows it, by the address it listens on for others.
type peer struct {
	addr    string
	here    bool // this process: it is not asked over the network
	members []Member
	report  *Report  // the last one, without samples
	samples []Sample // of the last quarter of an hour
	err     error    // why it did not answer now
	silent  int64    // since when it does not, unix ms
}

func newClient(cluster *certificate.Source) *http.Client {
	dial := func(source *certificate.Source) func(ctx context.Context, network, addr string) (net.Conn, error) {
		return func(ctx context.Context, _, addr string) (net.Conn, error) {
			return source.Dial(ctx, addr, time.Second)
		}
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dial(nil), DialTLSContext: dial(cluster),
			MaxConnsPerHost: 4, MaxIdleConnsPerHost: 1, MaxIdleConns: maxPeers, IdleConnTimeout: 30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// targets are this process and those that ZooKeeper lists, by address, without
// anything known of them, and how many members are left out.
func (c *Console) targets() (list []*peer, more int) {
	list = []*peer{{here: true, members: c.cfg.Members}}
	byAddr := map[string]*peer{}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, role := range roles() {
		for m, addr := range c.listed[role] {
			if slices.Contains(c.cfg.Members, m) {
				continue
			}
			p := byAddr[addr]
			if p == nil {
				if len(byAddr) == maxPeers {
					more++
					continue
				}
				p = &peer{addr: addr}
				byAddr[addr], list = p, append(list, p)
			}
			p.members = append(p.members, m)
		}
	}
	slices.SortFunc(list, func(a, b *peer) int { return cmp.Compare(a.addr, b.addr) })
	return list, more
}

// refresh asks every peer for its report, some at a time.
func (c *Console) refresh(ctx context.Context, peers []*peer) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	c.each(peers, func(p *peer) {
		since := int64(0)
		if n := len(p.samples); n > 0 {
			since = p.samples[n-1].At
		}
		asking, cancel := context.WithTimeout(ctx, askLimit)
		defer cancel()
		var r Report
		code, body, err := c.call(asking, p, http.MethodGet, "/api/process?since="+strconv.FormatInt(since, 10), "")
		switch {
		case err != nil:
		case code != http.StatusOK:
			err = refusal(code, body)
		default:
			err = json.Unmarshal(body, &r)
		}
		p.heard(r, err, time.Now())
	})
}

// each calls fn for the peers, atOnce at a time, and returns when all are done.
func (c *Console) each(peers []*peer, fn func(*peer)) {
	var wg sync.WaitGroup
	room := make(chan struct{}, atOnce)
	for _, p := range peers {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			fn(p)
		})
	}
	wg.Wait()
}

// lost says why nothing is known of a member now, and since when; nil when it
// answers. The process at its address may be another one: a port may have a new
// tenant, and a loopback address is another's on another machine.
func (p *peer) lost(m Member) (since int64, why error) {
	switch {
	case p.err != nil:
		return p.silent, p.err
	case p.report != nil && !slices.Contains(p.report.Members, m):
		return p.report.Started, fmt.Errorf("another process answers at %s: %s", p.addr, names(p.report.Members))
	}
	return 0, nil
}

func names(members []Member) string {
	var list []string
	for _, m := range members {
		list = append(list, m.String())
	}
	return strings.Join(list, ", ")
}

// heard takes an answer, or its lack.
func (p *peer) heard(r Report, err error, now time.Time) {
	if p.err = err; err != nil {
		if p.silent == 0 {
			p.silent = now.UnixMilli()
		}
		return
	}
	p.silent = 0
	if p.report != nil && p.report.Instance != r.Instance {
		p.samples = nil // it was started anew
	}
	p.samples = append(p.samples, r.Samples...)
	for oldest := now.Add(-kept).UnixMilli(); len(p.samples) > 0 && (p.samples[0].At < oldest || len(p.samples) > samples); {
		p.samples = slices.Delete(p.samples, 0, 1)
	}
	r.Samples = nil
	p.report = &r
}

// call asks a peer for a path of its API. A change is signed, and says who asked
// for it.
func (c *Console) call(ctx context.Context, p *peer, method, target, author string) (int, []byte, error) {
	scheme, host := c.cluster.Scheme(), cmp.Or(p.addr, "localhost")
	onAdmin := !slices.ContainsFunc(p.members, func(m Member) bool { return m.Role != roleHotcount })
	if onAdmin {
		scheme = "http"
	}
	r, err := http.NewRequestWithContext(ctx, method, scheme+"://"+host+admin.FleetPath+target, nil)
	if err != nil {
		return 0, nil, fmt.Errorf("ask %s: %w", names(p.members), err)
	}
	r.Header.Set(relayHeader, "1")
	// Over loopback an admin listener lets everybody read. But a member of another
	// machine may be listed with a loopback address, too, and whoever listens there on
	// this one must not be shown the token.
	if !onAdmin || method != http.MethodGet || !membership.OnLoopback(p.addr) {
		c.admin.Introduce(r, author)
	}
	if p.here {
		return c.callHere(r)
	}
	resp, err := c.client.Do(r)
	if err != nil {
		return 0, nil, unreached(p, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("its answer is longer than %d MiB", maxAnswer>>20)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("read the answer of %s at %s: %w", names(p.members), p.addr, err)
	}
	return resp.StatusCode, body, nil
}

// unreached says what to do where that is known.
func unreached(p *peer, err error) error {
	if membership.OnLoopback(p.addr) {
		return fmt.Errorf("%s listens at %s, which only processes of its own machine reach (a hotcount process is asked at its --hotcount.admin-addr): %w", names(p.members), p.addr, err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s at %s did not answer in time: %w", names(p.members), p.addr, err)
	}
	return fmt.Errorf("ask %s at %s: %w", names(p.members), p.addr, err)
}

// refusal is an answer other than 200 as an error.
func refusal(code int, body []byte) error {
	var said struct{ Error string }
	text := strings.TrimSpace(string(body[:min(len(body), 500)]))
	if json.Unmarshal(body, &said) == nil && said.Error != "" {
		text = said.Error
	}
	return fmt.Errorf("it answered %d %s: %s", code, http.StatusText(code), text)
}

// callHere answers a request in this process, as the operator has asked this one.
func (c *Console) callHere(r *http.Request) (int, []byte, error) {
	w := &memory{header: http.Header{}, code: http.StatusOK}
	c.admin.API().ServeHTTP(w, r)
	return w.code, w.body.Bytes(), nil
}

// memory is an answer that goes nowhere.
type memory struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (m *memory) Header() http.Header         { return m.header }
func (m *memory) WriteHeader(code int)        { m.code = code }
func (m *memory) Write(b []byte) (int, error) { return m.body.Write(b) }
