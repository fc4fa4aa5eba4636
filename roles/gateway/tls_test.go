package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eshop/pkg/certificate"
	"eshop/pkg/lab"
	"eshop/pkg/lifecycle"
	"eshop/pkg/ring"
)

// plainDial is that of a gateway without TLS between roles.
func plainDial(ctx context.Context, addr string, timeout time.Duration) (net.Conn, error) {
	return (*certificate.Source)(nil).Dial(ctx, addr, timeout)
}

// transport is how a test's public listener is reached.
type transport struct {
	pair   certificate.Config // of the gateway
	client *tls.Config        // nil: plain
}

// overBoth runs a body for a plain public listener and for one with TLS.
func overBoth(t *testing.T, body func(t *testing.T, over transport)) {
	t.Run("plain", func(t *testing.T) { body(t, transport{}) })
	t.Run("TLS", func(t *testing.T) { body(t, withTLS(t, lab.NewAuthority(t))) })
}

// withTLS has a new pair of an authority, in files that nobody else has.
func withTLS(t testing.TB, ca *lab.Authority) transport {
	t.Helper()
	dir := t.TempDir()
	over := transport{pair: certificate.Config{Area: "gateway", Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}, client: ca.Client(t)}
	over.renew(t, ca, nil)
	return over
}

// renew puts another pair in place and returns its serial number.
func (over transport) renew(t testing.TB, ca *lab.Authority, change func(*x509.Certificate)) string {
	t.Helper()
	serial := ""
	cert, key := ca.Issue(t, func(c *x509.Certificate) {
		if change != nil {
			change(c)
		}
		serial = c.SerialNumber.String()
	})
	for file, text := range map[string][]byte{over.pair.Cert: cert, over.pair.Key: key} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return serial
}

// dial connects; the handshake comes with the first byte.
func (over transport) dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if over.client == nil {
		return c
	}
	return tls.Client(c, over.client)
}

// serial is that of the certificate a connection was shown.
func serial(c net.Conn) string {
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// fetchPage sends a request for a page in L1 and reads the answer.
func fetchPage(c net.Conn, r *bufio.Reader, target string) error {
	if _, err := io.WriteString(c, "GET "+target+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "5599")) {
		err = fmt.Errorf("%s: %.200s", resp.Status, body)
	}
	return err
}

// The pair is renewed again and again under load: no request fails, connections that are open go on, and new ones see the
// certificate that is in use.
func TestRenewalUnderLoad(t *testing.T) {
	ca := lab.NewAuthority(t)
	over := withTLS(t, ca)
	g := newRig(t, func(c *Config, _ *Deps) { c.TLS = over.pair })
	addr := public(t, g)
	follow(t, g.tls)
	g.get(t, "/product/7")
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var kept, fresh atomic.Int64
	for i := range 8 {
		clients.Go(func() {
			var c net.Conn
			var r *bufio.Reader
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if c == nil {
					c = over.dial(t, addr)
					r = bufio.NewReader(c)
				}
				target := []string{"/product/7", "/product/7.json?x=1"}[n%2] // the second is the handler's
				if err := fetchPage(c, r, target); err != nil {
					t.Errorf("request %d of client %d: %v", n, i, err)
					return
				}
				if i%2 == 0 {
					kept.Add(1)
					continue
				}
				fresh.Add(1)
				c.Close()
				c = nil
			}
		})
	}
	defer clients.Wait()
	defer sync.OnceFunc(func() { close(stop) })()
	for range 5 {
		want := over.renew(t, ca, nil)
		before := [2]int64{kept.Load(), fresh.Load()}
		lab.Until(t, time.Minute, func(context.Context) error {
			c := over.dial(t, addr)
			defer c.Close()
			switch err := fetchPage(c, bufio.NewReader(c), "/product/7"); {
			case err != nil:
				return err
			case serial(c) != want:
				return errors.New("new connections see the old certificate")
			case kept.Load() < before[0]+50 || fresh.Load() < before[1]+10:
				return errors.New("there was little load meanwhile")
			}
			return nil
		})
	}
	t.Logf("%d requests on kept connections, %d on new ones", kept.Load(), fresh.Load())
}

// follow runs a source until the test's end.
func follow(t *testing.T, s *certificate.Source) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// abroad is a listener whose clients come from another machine.
type abroad struct{ net.Listener }

type foreigner struct{ net.Conn }

func (foreigner) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(203, 0, 113, 7), Port: 1} }

func (l abroad) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return foreigner{c}, nil
}

// A client that opens connections and never says hello has as many places as any other, and for as long as a request may
// take, not longer.
func TestSilentClients(t *testing.T) {
	overBoth(t, func(t *testing.T, over transport) {
		const places = 3
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		g := newRig(t, func(c *Config, d *Deps) {
			c.TLS, d.Public = over.pair, abroad{l}
			c.Limits = Limits{ConnectionsPerAddress: places, ReadTimeout: 2 * time.Second}
		})
		addr := public(t, g)
		begin := time.Now()
		var silent []net.Conn
		for range places {
			silent = append(silent, transport{}.dial(t, addr))
		}
		lab.Until(t, 20*time.Second, func(context.Context) error {
			if n := g.overload.public.Load().Open(); n != places {
				return fmt.Errorf("%d connections are open", n)
			}
			return nil
		})
		if time.Since(begin) < time.Second { // else some may be gone
			c := over.dial(t, addr)
			if err := fetchPage(c, bufio.NewReader(c), "/product/7"); err == nil && time.Since(begin) < 2*time.Second {
				t.Error("an address has more places than it may")
			}
		}
		for _, c := range silent {
			if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Errorf("a silent client was not cut off: %v", err)
			}
		}
		lab.Until(t, 20*time.Second, func(context.Context) error {
			c := over.dial(t, addr)
			defer c.Close()
			return fetchPage(c, bufio.NewReader(c), "/product/7")
		})
		if n := counter(t, g.metrics.handshakesFailed); over.client != nil && n < places {
			t.Errorf("%v handshakes are counted as failed, want %d", n, places)
		}
	})
}

// With a listener that the service manager keeps open: whoever connects before the process is ready, or between two
// processes, has his handshake later, and his answer.
func TestPassedListenerWithTLS(t *testing.T) {
	over := withTLS(t, lab.NewAuthority(t))
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	addr := socket.Addr().String()
	var ready lifecycle.Ready
	ready.Set("kafka", false, "not yet")
	answers := make(chan error, 1)
	visit := func() net.Conn {
		c := over.dial(t, addr)
		go func() { answers <- fetchPage(c, bufio.NewReader(c), "/product/7") }()
		return c
	}
	wait := func(what string) {
		t.Helper()
		select {
		case err := <-answers:
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s has no answer", what)
		}
	}
	early := visit()
	first, stop := process(t, socket, &ready, over.pair)
	if n := first.overload.open(); n != 0 {
		t.Fatalf("it has accepted %d connections before it is ready", n)
	}
	ready.Set("kafka", true, "")
	wait("a connection that waited for it to be ready")
	early.Close()
	stop()
	next := visit() // while there is no process at all
	process(t, socket, &ready, over.pair)
	wait("a connection between two processes")
	next.Close()
}

// mutual is a pair of its own for each gateway of a fleet.
func mutual(t testing.TB, ca *lab.Authority) certificate.Config {
	t.Helper()
	pair := withTLS(t, ca).pair
	pair.Area, pair.CA = "cluster", ca.CAFile
	return pair
}

// Gateways that show each other certificates forward as those with a token do, by pipe and by pool; a probe goes the
// same way. Nobody else gets anything from the peer listener, and one that is not accepted serves its own clients.
func TestMutualTLSBetweenGateways(t *testing.T) {
	ca := lab.NewAuthority(t)
	start := func(id string, cluster certificate.Config) (*rig, ring.Member) {
		g := newRig(t, func(c *Config, _ *Deps) { c.ID, c.Cluster = id, cluster })
		_, peer := serveLoopback(t, g)
		t.Cleanup(func() { g.hosts.close(); g.probes.close() })
		return g, ring.Member{ID: id, Addr: peer}
	}
	owner, m := start("gw-2", mutual(t, ca))
	asked, _ := start("gw-1", mutual(t, ca))
	asked.peers.ring.Store(ring.New([]ring.Member{m}, 0))
	if err := asked.probe(t.Context(), m); err != nil {
		t.Error(err)
	}
	lab.Until(t, 20*time.Second, func(context.Context) error { // by the pool at first, then the pipe is connected
		for i := range 20 {
			ctx := asked.get(t, "/product/7?shopId=3")
			if status := header(ctx, "Cache-Status"); ctx.Response.StatusCode() != 200 || !strings.Contains(status, "peer; owner=gw-2") {
				return fmt.Errorf("request %d: %d, %s", i, ctx.Response.StatusCode(), status)
			}
		}
		if p := asked.hosts.host(m.Addr).pipes[0]; !p.connected() {
			return errors.New("the pipe is not connected")
		}
		return nil
	})
	if n := owner.redis.count(); n != 1 {
		t.Errorf("the owner asked Redis %d times, want once", n)
	}
	if n := asked.l1.pages.Len(); n != 0 {
		t.Errorf("%d pages are kept by the one that is not the owner", n)
	}

	for name, c := range map[string]struct {
		cfg  *tls.Config
		want string
	}{
		"plain":                    {nil, "400"},
		"without a certificate":    {ca.Client(t), "certificate required"},
		"of another authority":     {foreign(t, ca), "unknown certificate authority"},
		"of the authority, at all": {showing(t, ca.Client(t), ca), ""},
	} {
		conn := transport{client: c.cfg}.dial(t, m.Addr)
		err := fetchPage(conn, bufio.NewReader(conn), "/product/7")
		if (err == nil) != (c.want == "") || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("a stranger, %s: %v, want %q", name, err, c.want)
		}
	}
	lab.Until(t, 20*time.Second, func(context.Context) error { // the client hears of it first
		if n := counter(t, owner.metrics.peerHandshakesFailed); n != 3 {
			return fmt.Errorf("%v handshakes are counted as failed, want 3", n)
		}
		return nil
	})

	for name, cluster := range map[string]certificate.Config{"without TLS": {}, "of another authority": mutual(t, lab.NewAuthority(t))} {
		alone, _ := start("gw-3", cluster)
		alone.peers.ring.Store(ring.New([]ring.Member{m}, 0))
		ctx := alone.get(t, "/product/7")
		if status := header(ctx, "Cache-Status"); ctx.Response.StatusCode() != 200 || strings.Contains(status, "peer") {
			t.Errorf("a gateway %s: %d, %s; want the page, loaded by itself", name, ctx.Response.StatusCode(), status)
		}
		if err := alone.probe(t.Context(), m); err == nil {
			t.Errorf("a gateway %s finds the other one well", name)
		}
	}
}

// connected reports whether requests can be sent.
func (p *pipe) connected() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conn != nil
}

// foreign trusts ca, and shows what another authority has signed.
func foreign(t *testing.T, ca *lab.Authority) *tls.Config {
	return showing(t, ca.Client(t), lab.NewAuthority(t))
}

func showing(t *testing.T, cfg *tls.Config, of *lab.Authority) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(of.CertFile, of.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return cfg
}
