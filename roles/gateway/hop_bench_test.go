package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"eshop/pkg/certificate"
	"eshop/pkg/lab"
	"eshop/pkg/ring"
)

// BenchmarkHop is a request for a page of 10 KiB over loopback, answered from L1
// (hit) or by the one hop to an owner that has it in L1 (hop), by so many clients
// that each wait for their answer. cpu-ns/op is what the whole process spends for
// a request: both gateways, and a client that writes ready bytes and counts those
// that come back, the same for all; with TLS it is on every connection, the
// client's too.
//
//	go test ./roles/gateway -run '^$' -bench Hop -count 5
func BenchmarkHop(b *testing.B) {
	for _, clients := range []int{1, 64} {
		for _, to := range []string{"hit", "hop", "hit-TLS", "hop-TLS"} {
			b.Run(fmt.Sprintf("%s/clients=%d", to, clients), func(b *testing.B) {
				benchmarkHop(b, strings.HasPrefix(to, "hop"), strings.HasSuffix(to, "TLS"), clients)
			})
		}
	}
}

func benchmarkHop(b *testing.B, hop, encrypted bool, clients int) {
	const pages = 100
	var over transport
	var cluster certificate.Config
	if encrypted {
		ca := lab.NewAuthority(b)
		over, cluster = withTLS(b, ca), mutual(b, ca)
	}
	servers := [2]*rig{}
	for i, id := range []string{"gw-1", "gw-2"} {
		g := newRig(b, func(c *Config, _ *Deps) {
			c.ID, c.ClusterToken, c.L1Bytes, c.TLS, c.Cluster = id, "secret", 64<<20, over.pair, cluster
		})
		for p := range int64(pages) {
			d := product(1, 10, "5599.0")
			d.Key.ID = p + 1
			d.Body = bytes.Replace(d.Body, []byte(`"spec"`), fmt.Appendf(nil, `"%s"`, strings.Repeat("specified ", 900)), 1)
			g.redis.set(d)
		}
		servers[i] = g
	}
	asked, owner := servers[0], servers[1]
	addr, _ := serveLoopback(b, asked)
	if hop {
		_, peer := serveLoopback(b, owner)
		m := ring.Member{ID: "gw-2", Addr: peer}
		asked.peers.ring.Store(ring.New([]ring.Member{m}, 0))
		b.Cleanup(asked.hosts.close)
	}
	size := 0
	for p := range pages { // now L1 has them
		ctx := asked.get(b, fmt.Sprintf("/product/%d?shopId=3", p+1))
		if size = len(ctx.Response.Body()); ctx.Response.StatusCode() != 200 || size < 9<<10 || size > 12<<10 {
			b.Fatalf("page %d: status %d, %d bytes", p+1, ctx.Response.StatusCode(), size)
		}
	}
	if n := counter(b, asked.metrics.forwarded); hop != (n == pages) {
		b.Fatalf("%v of %d requests took the hop", n, pages)
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	conns := make([]net.Conn, clients)
	for i := range conns {
		c := over.dial(b, addr)
		if err := c.SetDeadline(time.Time{}); err != nil {
			b.Fatal(err)
		}
		if err := askRaw(c, make([]byte, 32<<10), "GET /product/1?shopId=3 HTTP/1.1\r\nHost: shop\r\n\r\n"); err != nil { // with the handshake
			b.Fatal(err)
		}
		conns[i] = c
	}
	b.ResetTimer()
	before := cpuTime(b)
	for i, c := range conns {
		wg.Go(func() {
			buf := make([]byte, 32<<10)
			for n := i; left.Add(-1) >= 0; n++ {
				if err := askRaw(c, buf, fmt.Sprintf("GET /product/%d?shopId=3 HTTP/1.1\r\nHost: shop\r\n\r\n", n%pages+1)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}

// serveLoopback serves on both listeners until the test's end.
func serveLoopback(tb testing.TB, g *rig) (public, peer string) {
	tb.Helper()
	var err error
	if err = g.Listen(); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- g.serveOn(ctx, g.peerServer(), g.peerListener, g.peerFast, "peer") }()
	go func() { done <- g.serveOn(ctx, g.publicServer(), g.listener, g.fast, "public") }()
	tb.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, <-done); err != nil {
			tb.Error(err)
		}
	})
	return g.Addr(), g.PeerAddr()
}

// askRaw sends a request and reads the answer, whole and unseen but for its length.
func askRaw(c net.Conn, buf []byte, request string) error {
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	have, want := 0, -1
	for want < 0 || have < want {
		n, err := c.Read(buf[have:])
		if err != nil {
			return err
		}
		have += n
		if end := bytes.Index(buf[:have], []byte("\r\n\r\n")); want < 0 && end >= 0 {
			_, length, _ := bytes.Cut(buf[:end], []byte("Content-Length: "))
			var size int
			if _, err := fmt.Sscan(string(length), &size); err != nil || !bytes.HasPrefix(buf, []byte("HTTP/1.1 200 ")) {
				return fmt.Errorf("answered %.200q", buf[:have])
			}
			want = end + 4 + size
		}
	}
	return nil
}

// cpuTime is what the process has used of all cores.
func cpuTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
