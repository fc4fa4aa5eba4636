package lab

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority is a certificate authority of one test, with one server certificate for 127.0.0.1. All files are PEM.
type Authority struct {
	CAFile   string // what clients trust
	CertFile string // the server's certificate
	KeyFile  string // its key
	BothFile string // key and certificate in one file, as Java servers want them

	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority in a new directory. Each has a key of its own: one does not vouch for another's servers.
func NewAuthority(tb testing.TB) *Authority {
	tb.Helper()
	now := time.Now()
	a := &Authority{key: newKey(tb), cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lab authority"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	caPEM := a.sign(tb, a.cert, a.key)
	certPEM, keyPEM := a.Issue(tb, nil)
	dir := tb.TempDir()
	write := func(name string, parts ...[]byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, bytes.Join(parts, nil), 0o600); err != nil {
			tb.Fatalf("write %s: %v", name, err)
		}
		return file
	}
	a.CAFile, a.CertFile, a.KeyFile = write("ca.pem", caPEM), write("server.pem", certPEM), write("server.key", keyPEM)
	a.BothFile = write("both.pem", keyPEM, certPEM, caPEM)
	return a
}

// Issue makes another certificate with a key of its own, both PEM: for 127.0.0.1 and localhost, for servers and clients, valid as
// long as the authority. change may make it differ.
func (a *Authority) Issue(tb testing.TB, change func(*x509.Certificate)) (certPEM, keyPEM []byte) {
	tb.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		tb.Fatalf("draw a serial number: %v", err)
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "lab server"}, NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, KeyUsage: x509.KeyUsageDigitalSignature,
		// The nodes of a Redis Cluster are each other's clients too.
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(c)
	}
	key := newKey(tb)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatalf("encode a key: %v", err)
	}
	return a.sign(tb, c, key), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func (a *Authority) sign(tb testing.TB, c *x509.Certificate, k *ecdsa.PrivateKey) []byte {
	tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &k.PublicKey, a.key)
	if err != nil {
		tb.Fatalf("sign a certificate: %v", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatalf("make a key: %v", err)
	}
	return k
}

// Client is a configuration that trusts the authority alone.
func (a *Authority) Client(tb testing.TB) *tls.Config {
	tb.Helper()
	text, err := os.ReadFile(a.CAFile)
	if err != nil {
		tb.Fatalf("read the authority's certificate: %v", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		tb.Fatalf("%s holds no certificate", a.CAFile)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: "127.0.0.1"}
}
