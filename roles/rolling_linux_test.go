package roles_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eshop/pkg/hotlist"
)

// patience is how long a client waits for an answer, and a test for the end of a process. A restart takes
// seconds; a machine that has other things to do may stand still for a minute.
const patience = 3 * time.Minute

// strict is a client that sends requests that must all be answered. It forgives nothing: it opens a connection again only
// when it was told to close the last, and repeats no request.
type strict struct {
	addr  string
	tls   *tls.Config   // nil: plain
	keep  bool          // connections are used again
	pause time.Duration // between two requests

	requests, failed *atomic.Int64
	slowest          time.Duration
	problems         []string
}

func (c *strict) run(ctx context.Context, path func(i int) string) {
	var conn net.Conn
	var r *bufio.Reader
	tick := time.NewTicker(c.pause)
	defer tick.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		began, fresh := time.Now(), conn == nil
		var err error
		if fresh {
			if conn, err = net.DialTimeout("tcp", c.addr, patience); err == nil {
				if c.tls != nil {
					conn = tls.Client(conn, c.tls) // the handshake comes with the first request
				}
				r = bufio.NewReader(conn)
			}
		}
		closes := false
		if err == nil {
			closes, err = c.ask(conn, r, path(i))
		}
		c.requests.Add(1)
		c.slowest = max(c.slowest, time.Since(began))
		if err != nil {
			c.failed.Add(1)
			if len(c.problems) < 5 {
				c.problems = append(c.problems, fmt.Sprintf("%s, request %d (new connection: %t, kept: %t): %v", c.addr, i, fresh, c.keep, err))
			}
		}
		if conn != nil && (err != nil || closes || !c.keep) {
			conn.Close()
			conn = nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	if conn != nil {
		conn.Close()
	}
}

// ask sends one request and reports whether the connection closes after the answer.
func (c *strict) ask(conn net.Conn, r *bufio.Reader, path string) (closes bool, err error) {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return false, err
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: shop\r\n\r\n", path); err != nil {
		return false, fmt.Errorf("the request could not be sent: %w", err)
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return false, fmt.Errorf("no answer: %w", err)
	}
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return false, fmt.Errorf("the answer ended in its middle: %w", err)
	case resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "</html>"):
		return false, fmt.Errorf("%s, Cache-Status %s: %.200s", resp.Status, resp.Header.Get("Cache-Status"), body)
	}
	return resp.Close, nil
}

// Three gateways, whose listeners systemd holds, and two cache processes are restarted one after the
// other, as for a new binary, while clients ask for products that every gateway has, for such as change
// all the time, and for cold ones: no request fails, no connection is refused or ends in place of an
// answer.
func TestRollingUpgrade(t *testing.T) {
	for _, s := range []shape{{name: "embedded", servers: true}, {name: "real", real: true, servers: true}, {name: "embedded, with TLS", servers: true, tls: true}} {
		t.Run(s.name, func(t *testing.T) { rollingUpgrade(t, newFleet(t, s, hotlist.DefaultRule())) })
	}
}

func rollingUpgrade(t *testing.T, f *fleet) {
	common := append(f.flags(t.TempDir()), "--redis.addrs", strings.Join(f.redis, ","))
	var trust *tls.Config
	if f.ca != nil {
		trust = f.ca.Client(t)
		common = append(common, f.clusterFlags()...)
	}
	var caches, gateways []*service
	for i := range fleetCaches {
		c := newService(t, append([]string{"cache", "--cache.id", fmt.Sprintf("cache-%d", i), "--cache.addr", freeAddr(t), "--cache.admin-addr", "127.0.0.1:0",
			"--kafka.group.cache", f.topic("group"), "--origin.url", f.shop.URL()}, common...)...)
		c.start()
		caches = append(caches, c)
	}
	for i := range fleetGateways {
		g := newService(t, append([]string{"gateway", "--gateway.id", fmt.Sprintf("gateway-%d", i), "--gateway.admin-addr", "127.0.0.1:0",
			"--gateway.peer-addr", "127.0.0.1:0", "--kafka.topic.access", f.topic("access")}, append(common, f.publicFlags()...)...)...)
		f.gateways = append(f.gateways, g.listen("public"))
		g.listen("peer")
		g.start()
		gateways = append(gateways, g)
	}
	for _, s := range append(caches, gateways...) {
		s.told("READY=1", 1, time.Minute)
	}
	if line := gateways[0].told("STATUS=serving", 1, time.Minute); !strings.Contains(line, "product pages at "+f.scheme()+"://"+f.gateways[0]) {
		t.Errorf("the first gateway's status is %q", line)
	}
	f.settled()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var load sync.WaitGroup
	var requests, failed atomic.Int64
	var clients []*strict
	for _, addr := range f.gateways {
		for _, c := range []strict{{keep: true, pause: 25 * time.Millisecond}, {keep: true, pause: 2 * time.Second}, {pause: 25 * time.Millisecond}, {pause: 40 * time.Millisecond}} {
			c.addr, c.tls, c.requests, c.failed = addr, trust, &requests, &failed
			one := c
			clients = append(clients, &one)
			offset := 100 + 60*len(clients)
			load.Go(func() {
				one.run(ctx, func(i int) string {
					id := 1 + i%20 // known, of which the first five change
					if i%10 == 0 {
						id = offset + i/10%60 // cold at first
					}
					return fmt.Sprintf("/product?productId=%d&shopId=%d", id, 1+id%50)
				})
			})
		}
	}
	load.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			id := 1 + i%5
			f.edit(http.MethodPut, fmt.Sprintf("/products/%d", id), fmt.Sprintf(`{"id":%d,"name":"product %d","price":%d,"shopId":1}`, id, id, 100+i))
			f.change(fmt.Sprintf(`{"serviceId":"productInfoService","productId":%d,"shopId":1}`, id))
		}
	})
	warm := requests.Load() + 300
	f.until("the load runs", func() (bool, string) { return requests.Load() >= warm, fmt.Sprint(requests.Load()) })
	began := time.Now()
	for _, s := range append(append([]*service(nil), caches...), gateways...) {
		before := time.Now()
		s.restart()
		more := requests.Load() + 100
		f.until("the load goes on", func() (bool, string) { return requests.Load() >= more, fmt.Sprint(requests.Load()) })
		t.Logf("%s restarted in %v; %d requests so far, %d failed", s.args[2], time.Since(before).Round(time.Millisecond), requests.Load(), failed.Load())
	}
	cancel()
	load.Wait()
	var slowest time.Duration
	for _, c := range clients {
		slowest = max(slowest, c.slowest)
		for _, p := range c.problems {
			t.Error(p)
		}
	}
	t.Logf("%d requests in %v, %d failed, the slowest took %v", requests.Load(), time.Since(began).Round(time.Second), failed.Load(), slowest.Round(time.Millisecond))
	for _, s := range append(gateways, caches...) {
		s.stop()
	}
}
