package certificate_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"eshop/pkg/certificate"
	"eshop/pkg/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// write puts content into a file as most programs do: in place.
func write(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// journal is a log that can be read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) count(part string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), part)
}

// used is a pair in use, and what a test needs to see it.
type used struct {
	t        *testing.T
	ca       *lab.Authority
	source   *certificate.Source
	log      *journal
	registry *prometheus.Registry
	addr     string
	client   *tls.Config
}

// use loads a pair, follows it until the test's end, and serves with it: an echo.
func use(t *testing.T, ca *lab.Authority, cfg certificate.Config) *used {
	t.Helper()
	u := &used{t: t, ca: ca, log: &journal{}, registry: prometheus.NewRegistry(), client: ca.Client(t)}
	var err error
	if u.source, err = certificate.New(cfg, certificate.Deps{Log: slog.New(slog.NewTextHandler(u.log, nil)), Registry: u.registry}); err != nil {
		t.Fatal(err)
	}
	if err := u.source.Load(); err != nil {
		t.Fatal(err)
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := u.source.Listener(plain)
	u.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		if err := u.source.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { defer c.Close(); io.Copy(c, c) })
		}
	})
	t.Cleanup(func() { cancel(); l.Close(); all.Wait() })
	return u
}

// serial connects and tells the certificate that is shown.
func (u *used) serial() (string, error) {
	c, err := (&tls.Dialer{Config: u.client}).DialContext(u.t.Context(), "tcp", u.addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}

// shows waits until new connections are shown a certificate.
func (u *used) shows(certPEM []byte) {
	u.t.Helper()
	want := parsed(u.t, certPEM)
	lab.Until(u.t, 20*time.Second, func(context.Context) error {
		got, err := u.serial()
		if err == nil && got != want.SerialNumber.String() {
			err = fmt.Errorf("it shows %s, not %s", got, want.SerialNumber)
		}
		return err
	})
	if got := u.expiry(); got != want.NotAfter.Unix() {
		u.t.Errorf("the metric says that it expires at %d, want %d", got, want.NotAfter.Unix())
	}
}

func (u *used) expiry() int64 {
	u.t.Helper()
	families, err := u.registry.Gather()
	if err != nil {
		u.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "eshop_tls_cert_expiry_seconds" && f.GetMetric()[0].GetLabel()[0].GetValue() == "gateway" {
			return int64(f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	u.t.Fatal("there is no metric of the expiry")
	return 0
}

func parsed(t *testing.T, certPEM []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(certPEM)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func lasting(d time.Duration) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.NotAfter = time.Now().Add(d).Truncate(time.Second) }
}

// A renewed pair is used whichever way it is put in place, and connections that are
// open go on.
func TestRenewal(t *testing.T) {
	for _, way := range []struct {
		name string
		put  func(t *testing.T, dir string, generation int, cert, key []byte)
	}{
		{"in place", func(t *testing.T, dir string, _ int, cert, key []byte) {
			write(t, filepath.Join(dir, "cert.pem"), cert)
			write(t, filepath.Join(dir, "key.pem"), key)
		}},
		{"by rename", func(t *testing.T, dir string, _ int, cert, key []byte) {
			for name, text := range map[string][]byte{"cert.pem": cert, "key.pem": key} {
				write(t, filepath.Join(dir, name+".new"), text)
				if err := os.Rename(filepath.Join(dir, name+".new"), filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"as certbot does", func(t *testing.T, dir string, n int, cert, key []byte) {
			archive := filepath.Join(dir, "archive")
			if err := os.MkdirAll(archive, 0o700); err != nil {
				t.Fatal(err)
			}
			for name, text := range map[string][]byte{"cert.pem": cert, "key.pem": key} {
				target := filepath.Join("archive", fmt.Sprint(n, name))
				write(t, filepath.Join(dir, target), text)
				link(t, target, filepath.Join(dir, name))
			}
		}},
		{"as Kubernetes does", func(t *testing.T, dir string, n int, cert, key []byte) {
			generation := fmt.Sprintf("..%d", n)
			if err := os.MkdirAll(filepath.Join(dir, generation), 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, generation, "cert.pem"), cert)
			write(t, filepath.Join(dir, generation, "key.pem"), key)
			link(t, generation, filepath.Join(dir, "..data"))
			for _, name := range []string{"cert.pem", "key.pem"} {
				link(t, filepath.Join("..data", name), filepath.Join(dir, name))
			}
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			ca, dir := lab.NewAuthority(t), t.TempDir()
			cert, key := ca.Issue(t, lasting(time.Hour))
			way.put(t, dir, 1, cert, key)
			u := use(t, ca, certificate.Config{Area: "gateway", Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")})
			u.shows(cert)
			kept, err := (&tls.Dialer{Config: u.client}).DialContext(t.Context(), "tcp", u.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer kept.Close()
			for n := 2; n < 5; n++ {
				cert, key = ca.Issue(t, lasting(time.Duration(n)*time.Hour))
				way.put(t, dir, n, cert, key)
				u.shows(cert)
				echo(t, kept)
			}
		})
	}
}

// link replaces a symbolic link in one step.
func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

func echo(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
}

// What cannot be used leaves the pair before in use, and one line in the log.
func TestRefusedRenewal(t *testing.T) {
	ca, dir := lab.NewAuthority(t), t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	good, goodKey := ca.Issue(t, nil)
	write(t, certFile, good)
	write(t, keyFile, goodKey)
	u := use(t, ca, certificate.Config{Area: "gateway", Cert: certFile, Key: keyFile})
	u.shows(good)
	next, nextKey := ca.Issue(t, nil)
	old, oldKey := ca.Issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	for _, c := range []struct {
		name      string
		cert, key []byte
		says      string
	}{
		{"half of the pair", next, goodKey, "the key is not that of the certificate"},
		{"half of a file", next[:len(next)/2], goodKey, "holds no certificate in PEM form"},
		{"an empty key", good, nil, "holds no private key in PEM form"},
		{"an expired one", old, oldKey, "has expired at"},
	} {
		write(t, certFile, c.cert)
		write(t, keyFile, c.key)
		lab.Until(t, 20*time.Second, func(context.Context) error {
			if u.log.count(c.says) == 0 {
				return fmt.Errorf("the log has no line with %q", c.says)
			}
			return nil
		})
		u.shows(good)
	}
	before := u.log.count("level=ERROR")
	for range 5 {
		u.source.Look()
	}
	if after := u.log.count("level=ERROR"); after != before {
		t.Errorf("what is wrong was said %d times more", after-before)
	}
	write(t, certFile, next)
	write(t, keyFile, nextKey)
	u.shows(next)
	if u.log.count("PRIVATE") != 0 {
		t.Error("the log has a key")
	}
}

// What is wrong with the files is said in a sentence that names flag and file.
func TestCheck(t *testing.T) {
	ca, other, dir := lab.NewAuthority(t), lab.NewAuthority(t), t.TempDir()
	put := func(name string, text []byte) string {
		file := filepath.Join(dir, name)
		write(t, file, text)
		return file
	}
	issue := func(name string, from *lab.Authority, change func(*x509.Certificate)) (string, string) {
		cert, key := from.Issue(t, change)
		return put(name+".pem", cert), put(name+".key", key)
	}
	good, goodKey := issue("good", ca, nil)
	foreign, foreignKey := issue("foreign", other, nil)
	expired, expiredKey := issue("expired", ca, lasting(-time.Hour))
	future, futureKey := issue("future", ca, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) })
	serverOnly, serverOnlyKey := issue("server-only", ca, func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] })
	empty := put("empty", nil)
	for _, c := range []struct{ name, cert, key, ca, want string }{
		{"nothing", "", "", "", ""},
		{"a pair", good, goodKey, "", ""},
		{"a mutual pair", good, goodKey, ca.CAFile, ""},
		{"in one file", ca.BothFile, ca.BothFile, "", ""},
		{"no certificate", filepath.Join(dir, "none"), goodKey, "", "--cluster.tls-cert " + dir + "/none: the file cannot be opened: no such file"},
		{"no key", good, filepath.Join(dir, "none"), "", "--cluster.tls-key " + dir + "/none: the file cannot be opened"},
		{"no authority", good, goodKey, filepath.Join(dir, "none"), "--cluster.tls-ca " + dir + "/none: the file cannot be opened"},
		{"an empty certificate", empty, goodKey, "", "--cluster.tls-cert " + empty + ": the file holds no certificate"},
		{"an empty key", good, empty, "", "--cluster.tls-key " + empty + ": the file holds no private key"},
		{"an empty authority", good, goodKey, empty, "--cluster.tls-ca " + empty + ": the file holds no certificate"},
		{"another's key", good, foreignKey, "", "--cluster.tls-key " + foreignKey + ": the key is not that of the certificate in " + good},
		{"the two mixed up", goodKey, good, "", "--cluster.tls-cert " + goodKey + ": the file holds no certificate"},
		{"expired", expired, expiredKey, "", "--cluster.tls-cert " + expired + ": the certificate has expired at"},
		{"not valid yet", future, futureKey, "", "--cluster.tls-cert " + future + ": the certificate is not valid before"},
		{"of another authority", foreign, foreignKey, ca.CAFile, "--cluster.tls-cert " + foreign + ": the certificate is not of an authority in " + ca.CAFile},
		{"for servers alone", serverOnly, serverOnlyKey, ca.CAFile, "must have serverAuth and clientAuth"},
		{"for servers alone, not mutual", serverOnly, serverOnlyKey, "", ""},
	} {
		err := certificate.Config{Area: "cluster", Cert: c.cert, Key: c.key, CA: c.ca}.Check()
		if got := fmt.Sprint(err); (err == nil) != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q in it", c.name, got, c.want)
		}
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
