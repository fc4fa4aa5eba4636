package certificate_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"eshop/pkg/certificate"
	"eshop/pkg/lab"
)

// source is a loaded pair of an authority.
func source(t *testing.T, ca *lab.Authority, change func(*x509.Certificate)) *certificate.Source {
	t.Helper()
	cert, key := ca.Issue(t, change)
	dir := t.TempDir()
	cfg := certificate.Config{Area: "cluster", Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), CA: ca.CAFile}
	write(t, cfg.Cert, cert)
	write(t, cfg.Key, key)
	s, err := certificate.New(cfg, certificate.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Load(); err != nil {
		t.Fatal(err)
	}
	return s
}

// echoing serves with a source, nil for none.
func echoing(t *testing.T, s *certificate.Source) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = s.Listener(l)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if s == nil {
				io.WriteString(c, "hello, whoever you are")
			}
			io.Copy(c, c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// reach sends something over a connection that dial makes, and reads it.
func reach(t *testing.T, dial func(context.Context) (net.Conn, error)) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "hello"); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 5))
	return err
}

// Both ends show what they have and accept what is of their authority, and nobody
// else gets through; where one end can know why, it says what to do.
func TestMutual(t *testing.T) {
	ca, other := lab.NewAuthority(t), lab.NewAuthority(t)
	elsewhere := func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"elsewhere.internal"} }
	by := func(s *certificate.Source, host string) func(string) func(context.Context) (net.Conn, error) {
		return func(addr string) func(context.Context) (net.Conn, error) {
			_, port, err := net.SplitHostPort(addr)
			if err != nil {
				t.Fatal(err)
			}
			return func(ctx context.Context) (net.Conn, error) {
				return s.Dial(ctx, net.JoinHostPort(host, port), 5*time.Second)
			}
		}
	}
	stranger := func(cfg *tls.Config) func(string) func(context.Context) (net.Conn, error) {
		return func(addr string) func(context.Context) (net.Conn, error) {
			return func(ctx context.Context) (net.Conn, error) {
				return (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", addr)
			}
		}
	}
	role := source(t, ca, nil)
	for _, c := range []struct {
		name   string
		server *certificate.Source
		dial   func(addr string) func(context.Context) (net.Conn, error)
		want   string // "" when it is let through
	}{
		{"two roles", role, by(role, "127.0.0.1"), ""},
		{"two roles, by name", role, by(role, "localhost"), ""},
		{"two roles, each with a certificate of its own", role, by(source(t, ca, elsewhere), "127.0.0.1"), ""},
		{"two plain ones", nil, by(nil, "127.0.0.1"), ""},
		{"a server of another authority", source(t, other, nil), by(role, "127.0.0.1"), "--cluster.tls-ca"},
		{"a server at another host", source(t, ca, elsewhere), by(role, "127.0.0.1"), "--gateway.advertise-addr"},
		{"a plain server", nil, by(role, "127.0.0.1"), "--cluster.tls-cert, too"},
		{"a client without a certificate", role, stranger(ca.Client(t)), "certificate required"},
		{"a client of another authority", role, stranger(withPair(t, ca.Client(t), other)), "unknown certificate authority"},
		{"an old client", role, stranger(&tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10, InsecureSkipVerify: true}), "protocol version"},
		{"a plain client", role, by(nil, "127.0.0.1"), "EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := reach(t, c.dial(echoing(t, c.server)))
			if (err == nil) != (c.want == "") || !strings.Contains(fmt.Sprint(err), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}

// withPair has a client show a certificate of an authority, whatever the server says that it accepts.
func withPair(t *testing.T, cfg *tls.Config, of *lab.Authority) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(of.CertFile, of.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return cfg
}

// A peer that accepts and says nothing is given up on; that is a connection which was not made.
func TestDialIsBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	begin := time.Now()
	_, err = source(t, lab.NewAuthority(t), nil).Dial(t.Context(), l.Addr().String(), time.Second)
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "dial" || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want an error of the dial, by its deadline", err)
	}
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
}

// The authority is changed without a moment in which two roles refuse each other: first all trust both, then each gets a
// certificate of the new one.
func TestNewAuthority(t *testing.T) {
	old, next, dir := lab.NewAuthority(t), lab.NewAuthority(t), t.TempDir()
	cfg := certificate.Config{Area: "cluster", Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), CA: filepath.Join(dir, "ca.pem")}
	put := func(ca *lab.Authority, trusted ...*lab.Authority) {
		t.Helper()
		var all []byte
		for _, a := range trusted {
			all = append(all, read(t, a.CAFile)...)
		}
		write(t, cfg.CA, all)
		write(t, cfg.Cert, read(t, ca.CertFile))
		write(t, cfg.Key, read(t, ca.KeyFile))
	}
	put(old, old)
	s, err := certificate.New(cfg, certificate.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Load(); err != nil {
		t.Fatal(err)
	}
	addr := echoing(t, s)
	reaches := func(as *certificate.Source) error {
		return reach(t, func(ctx context.Context) (net.Conn, error) { return as.Dial(ctx, addr, 5*time.Second) })
	}
	ofOld := source(t, old, nil)
	if err := reaches(ofOld); err != nil {
		t.Fatal(err)
	}
	put(old, old, next)
	if err := s.Load(); err != nil {
		t.Fatal(err)
	}
	if err := reaches(ofOld); err != nil {
		t.Fatal(err)
	}
	put(next, next)
	if err := s.Load(); err != nil {
		t.Fatal(err)
	}
	if err := reaches(source(t, next, nil)); err != nil {
		t.Fatal(err)
	}
	if err := reaches(ofOld); err == nil {
		t.Error("a role of the old authority is still let in")
	}
}
