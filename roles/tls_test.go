package roles

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"eshop/pkg/lab"
)

// Files that cannot be used are wrong settings: said with the flag and the file, all at once, with exit code 2, before
// anything starts. What is in them is never said.
func TestWrongCertificates(t *testing.T) {
	ca, dir := lab.NewAuthority(t), t.TempDir()
	file := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	old, oldKey := ca.Issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) })
	expired, expiredKey := file("expired.pem", old), file("expired.key", oldKey)
	other := lab.NewAuthority(t)
	const servers = "--redis.addrs=a:1 --kafka.brokers=a:1 --zookeeper.servers=a:1 "
	gateway := "gateway " + servers
	cache := "cache --origin.url=http://a " + servers
	public := func(cert, key string) string { return " --gateway.tls-cert=" + cert + " --gateway.tls-key=" + key }
	cluster := func(cert, key, ca string) string {
		return " --cluster.tls-cert=" + cert + " --cluster.tls-key=" + key + " --cluster.tls-ca=" + ca
	}
	const local = " --gateway.peer-addr=127.0.0.1:0"
	for _, c := range []struct {
		name, args string
		code       int
		want       []string
	}{
		{"good ones", gateway + public(ca.CertFile, ca.KeyFile) + cluster(ca.CertFile, ca.KeyFile, ca.CAFile), 0, nil},
		{"certificates in place of a token", cache + cluster(ca.CertFile, ca.KeyFile, ca.CAFile), 0, nil},
		{"neither", cache, 2, []string{"--cluster.token-file: is needed", "or set --cluster.tls-cert"}},
		{"a key alone", gateway + local + " --gateway.tls-key=" + ca.KeyFile, 2, []string{"--gateway.tls-cert: is needed with --gateway.tls-key"}},
		{"no authority", gateway + " --cluster.tls-cert=" + ca.CertFile + " --cluster.tls-key=" + ca.KeyFile, 2, []string{"1 problem", "--cluster.tls-ca: is needed with --cluster.tls-cert and --cluster.tls-key"}},
		{"an authority alone", gateway + local + " --cluster.tls-ca=" + ca.CAFile, 2, []string{"--cluster.tls-cert: is needed", "--cluster.tls-key: is needed with --cluster.tls-ca"}},
		{"not there", gateway + local + public(dir+"/none", ca.KeyFile), 2, []string{"--gateway.tls-cert " + dir + "/none: the file cannot be opened"}},
		{"expired and mismatched, at once", gateway + public(expired, expiredKey) + cluster(ca.CertFile, other.KeyFile, ca.CAFile), 2,
			[]string{"2 problems", "--gateway.tls-cert " + expired + ": the certificate has expired at", "--cluster.tls-key " + other.KeyFile + ": the key is not that of the certificate in " + ca.CertFile}},
		{"of another authority", cache + cluster(other.CertFile, other.KeyFile, ca.CAFile), 2, []string{"--cluster.tls-cert " + other.CertFile + ": the certificate is not of an authority in " + ca.CAFile}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := call(t, nil, "", append(strings.Fields(c.args), "--check-config")...)
			if code != c.code {
				t.Errorf("code %d, want %d:\n%s", code, c.code, stderr)
			}
			for _, want := range c.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("lacks %q:\n%s", want, stderr)
				}
			}
			if strings.Contains(stdout+stderr, "PRIVATE KEY") || strings.Contains(stdout+stderr, "BEGIN") {
				t.Errorf("it shows what is in a file:\n%s%s", stdout, stderr)
			}
		})
	}
}

// eshop all with TLS on every listener of its own, and its demonstration traffic: it says so in the URLs it prints, pages
// come by HTTPS, and not without it; who connects and says nothing is cut off everywhere.
func TestAllWithTLS(t *testing.T) {
	ca := lab.NewAuthority(t)
	r := start(t, anyPort("--demo-traffic", "--gateway.tls-cert="+ca.CertFile, "--gateway.tls-key="+ca.KeyFile,
		"--cluster.tls-cert="+ca.CertFile, "--cluster.tls-key="+ca.KeyFile, "--cluster.tls-ca="+ca.CAFile)...)
	defer r.stop()
	for _, what := range []string{"product pages", "gateway peers", "cache"} {
		if !strings.HasPrefix(r.addresses[what], "https://") {
			t.Errorf("%s at %s, want an https URL", what, r.addresses[what])
		}
	}
	silent := make(chan error, 3)
	for _, what := range []string{"product pages", "gateway peers", "cache"} {
		at, err := url.Parse(r.addresses[what])
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", at.Host)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer c.Close()
			err := c.SetDeadline(time.Now().Add(time.Minute))
			if err == nil {
				_, err = io.Copy(io.Discard, c)
			}
			if err != nil {
				err = fmt.Errorf("a client of the listener for %s that said nothing: %w", what, err)
			}
			silent <- err
		}()
	}
	client := func(cfg *tls.Config) *http.Client {
		tr := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
		t.Cleanup(tr.CloseIdleConnections)
		return &http.Client{Transport: tr, Timeout: 30 * time.Second}
	}
	status := func(c *http.Client, url string) (int, *tls.ConnectionState, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(req)
		if err != nil {
			return 0, nil, err
		}
		resp.Body.Close()
		return resp.StatusCode, resp.TLS, nil
	}
	browser := client(ca.Client(t))
	code, state, err := status(browser, r.addresses["product pages"])
	if err != nil || code != http.StatusOK || state.Version != tls.VersionTLS13 || state.NegotiatedProtocol != "http/1.1" {
		t.Errorf("a page: %d, %v, %+v", code, err, state)
	}
	if code, _, err := status(browser, strings.Replace(r.addresses["product pages"], "https", "http", 1)); err != nil || code != http.StatusBadRequest {
		t.Errorf("a page without TLS: %d, %v, want 400", code, err)
	}
	for _, inner := range []string{"gateway peers", "cache"} {
		if code, _, err := status(browser, r.addresses[inner]); err == nil {
			t.Errorf("%s answers a client without a certificate: %d", inner, code)
		}
	}
	for range cap(silent) {
		if err := <-silent; err != nil {
			t.Error(err)
		}
	}
	lab.Until(t, 30*time.Second, func(context.Context) error {
		_, metrics := r.do("GET", strings.TrimSuffix(r.addresses["admin and console"], "/")+"/metrics", "")
		for _, want := range []string{`eshop_tls_cert_expiry_seconds{pair="gateway",role="gateway"}`, `eshop_tls_cert_expiry_seconds{pair="cluster",role="cache"}`} {
			if !strings.Contains(metrics, want) {
				return fmt.Errorf("no %s", want)
			}
		}
		if !strings.Contains(metrics, `eshop_gateway_requests_total{code="200",layer="l1",role="gateway"}`) {
			return errors.New("the demonstration traffic does not come through")
		}
		return nil
	})
}
