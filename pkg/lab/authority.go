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
}

// NewAuthority makes an authority in a new directory. Each has a key of its own: one does not vouch for another's servers.
func NewAuthority(tb testing.TB) *Authority {
	tb.Helper()
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lab authority"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "lab server"}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		// The nodes of a Redis Cluster are each other's clients too.
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			tb.Fatalf("make a key: %v", err)
		}
		return k
	}
	caKey, serverKey := key(), key()
	sign := func(c *x509.Certificate, k *ecdsa.PrivateKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, c, ca, &k.PublicKey, caKey)
		if err != nil {
			tb.Fatalf("sign a certificate: %v", err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	caPEM, certPEM := sign(ca, caKey), sign(server, serverKey)
	der, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		tb.Fatalf("encode a key: %v", err)
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	dir := tb.TempDir()
	write := func(name string, parts ...[]byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, bytes.Join(parts, nil), 0o600); err != nil {
			tb.Fatalf("write %s: %v", name, err)
		}
		return file
	}
	return &Authority{
		CAFile: write("ca.pem", caPEM), CertFile: write("server.pem", certPEM), KeyFile: write("server.key", keyPEM),
		BothFile: write("both.pem", keyPEM, certPEM, caPEM),
	}
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
