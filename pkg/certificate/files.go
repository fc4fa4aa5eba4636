package certificate

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// maxFile bounds each of the files, in bytes.
const maxFile = 1 << 20

// Config names the files, all PEM. The zero value stands for plain connections.
type Config struct {
	// Area is the first part of the flags' names, and what the log and the metric
	// call the pair: "gateway" for --gateway.tls-cert.
	Area string
	// Cert has the certificate, after it those of the authorities between it and one
	// that is trusted by itself. Key may be the same file.
	Cert, Key string
	// CA has the certificates of the authorities that the other side's certificate
	// must come from. Empty: the other side shows none.
	CA string
}

// Given reports whether there is to be TLS.
func (c Config) Given() bool { return c.Cert != "" }

// Check reads the files once and says what is wrong with them. It keeps nothing.
func (c Config) Check() error {
	if !c.Given() {
		return nil
	}
	_, err := c.read(time.Now(), nil)
	return err
}

// Expires reads the files once and tells until when they are good.
func (c Config) Expires() (time.Time, error) {
	p, err := c.read(time.Now(), nil)
	if err != nil {
		return time.Time{}, err
	}
	return p.expires, nil
}

func (c Config) files() []string {
	all := []string{c.Cert, c.Key}
	if c.CA != "" {
		all = append(all, c.CA)
	}
	return all
}

// pair is what was read together. Immutable.
type pair struct {
	sum     [sha256.Size]byte // of all files
	expires time.Time
	server  *tls.Config
	client  *tls.Config // of a mutual pair, else nil
}

// wrong names the flag and the file. What the file holds is never part of an error.
func (c Config) wrong(flag, file string, err error) error {
	return fmt.Errorf("--%s.%s %s: %w", c.Area, flag, file, err)
}

// read reads the files and judges them at a time. It returns old if they are those
// that it was made from.
func (c Config) read(now time.Time, old *pair) (*pair, error) {
	cert, errCert := readPEM(c.Cert)
	key, errKey := readPEM(c.Key)
	var ca []byte
	var errCA error
	if c.CA != "" {
		ca, errCA = readPEM(c.CA)
	}
	switch {
	case errCert != nil:
		return nil, c.wrong("tls-cert", c.Cert, errCert)
	case errKey != nil:
		return nil, c.wrong("tls-key", c.Key, errKey)
	case errCA != nil:
		return nil, c.wrong("tls-ca", c.CA, errCA)
	}
	sum := sha256.Sum256(bytes.Join([][]byte{cert, key, ca}, []byte{0}))
	if old != nil && old.sum == sum {
		return old, nil
	}
	both, err := c.parse(cert, key)
	if err != nil {
		return nil, err
	}
	leaf := both.Leaf
	switch {
	case now.After(leaf.NotAfter):
		return nil, c.wrong("tls-cert", c.Cert, fmt.Errorf("the certificate has expired at %s: renew it", leaf.NotAfter.UTC().Format(time.RFC3339)))
	case now.Before(leaf.NotBefore):
		return nil, c.wrong("tls-cert", c.Cert, fmt.Errorf("the certificate is not valid before %s: is this machine's clock right?", leaf.NotBefore.UTC().Format(time.RFC3339)))
	}
	p := &pair{sum: sum, expires: leaf.NotAfter, server: serverConfig(both)}
	if c.CA == "" {
		return p, nil
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, c.wrong("tls-ca", c.CA, errors.New("the file holds no certificate in PEM form"))
	}
	if err := c.ofAuthority(both, roots, now); err != nil {
		return nil, err
	}
	p.client = mutual(p.server, both, roots)
	return p, nil
}

func readPEM(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("the file cannot be opened: %w", errors.Unwrap(err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("the file cannot be read: %w", err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("the file has more than %d bytes, so it is another one", maxFile)
	}
	return text, nil
}

// parse tells which of the two files is wrong, which tls.X509KeyPair leaves open.
func (c Config) parse(cert, key []byte) (tls.Certificate, error) {
	both, err := tls.X509KeyPair(cert, key)
	if err == nil {
		return both, nil
	}
	if !x509.NewCertPool().AppendCertsFromPEM(cert) {
		return both, c.wrong("tls-cert", c.Cert, errors.New("the file holds no certificate in PEM form"))
	}
	if !bytes.Contains(key, []byte("PRIVATE KEY-----")) {
		return both, c.wrong("tls-key", c.Key, errors.New("the file holds no private key in PEM form"))
	}
	return both, c.wrong("tls-key", c.Key, fmt.Errorf("the key is not that of the certificate in %s, or cannot be used: %w", c.Cert, err))
}

// ofAuthority checks that the other roles, which have the same authorities, will
// accept the certificate at either end of a connection.
func (c Config) ofAuthority(both tls.Certificate, roots *x509.CertPool, now time.Time) error {
	between := x509.NewCertPool()
	for _, der := range both.Certificate[1:] {
		if one, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(one)
		}
	}
	for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		_, err := both.Leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{use}})
		var invalid x509.CertificateInvalidError
		switch {
		case err == nil:
		case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
			return c.wrong("tls-cert", c.Cert, errors.New("roles are servers and clients of each other, so the certificate's extended key usage must have serverAuth and clientAuth"))
		default:
			return c.wrong("tls-cert", c.Cert, fmt.Errorf("the certificate is not of an authority in %s: %w", c.CA, err))
		}
	}
	return nil
}
