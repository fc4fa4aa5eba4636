package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"eshop/pkg/credential"
)

// serverConfig is that of a listener. HTTP/1.1 is all that is spoken behind it. A
// record is as large as it may be: most pages go out in one then, by one call.
func serverConfig(both tls.Certificate) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, DynamicRecordSizingDisabled: true,
		Certificates: []tls.Certificate{both}}
}

// mutual has a listener's configuration demand a certificate of an authority, and
// returns that of the other end. Sessions are not resumed: whoever was let in
// once has to show his certificate again, to authorities that may have changed.
func mutual(server *tls.Config, both tls.Certificate, roots *x509.CertPool) (client *tls.Config) {
	server.ClientAuth, server.ClientCAs, server.SessionTicketsDisabled = tls.RequireAndVerifyClientCert, roots, true
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, DynamicRecordSizingDisabled: true,
		// Shown whatever the other side says it accepts: it will say why not.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &both, nil }}
}

// Scheme is that of URLs.
func (s *Source) Scheme() string {
	if s == nil {
		return "http"
	}
	return "https"
}

// Listener returns l with TLS on its connections, which are *tls.Conn. Accept does
// not make the handshake: that is for the first read, or for who wants to bound it.
func (s *Source) Listener(l net.Listener) net.Listener {
	if s == nil {
		return l
	}
	// The keys of session tickets are this configuration's, so they outlive a pair.
	return tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		p := s.now.Load()
		if p == nil {
			return nil, errNotLoaded
		}
		return p.server, nil
	}})
}

// Dial connects to another role at host:port within timeout, and makes the handshake
// within twice that: the kernel accepts by itself, the other role may be busy. It is
// for a mutual pair, and for none.
func (s *Source) Dial(ctx context.Context, addr string, timeout time.Duration) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: timeout, KeepAlive: 15 * time.Second}).DialContext(ctx, "tcp", addr)
	if s == nil || err != nil {
		return c, err
	}
	p := s.now.Load()
	if p == nil || p.client == nil {
		c.Close()
		return nil, errNotLoaded
	}
	cfg := p.client.Clone()
	if cfg.ServerName, _, err = net.SplitHostPort(addr); err != nil {
		c.Close()
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*timeout)
	defer cancel()
	t := tls.Client(c, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		c.Close()
		// A connection that is not made, for all who tell such from one that broke.
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: c.RemoteAddr(), Err: credential.Advise(s.advice(err), err)}
	}
	return t, nil
}

// advice says what to look at when two roles do not accept each other.
func (s *Source) advice(err error) string {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	area := "--" + s.cfg.Area
	switch {
	case errors.As(err, &authority):
		return "the other role's certificate is of an authority that is not in " + area + ".tls-ca"
	case errors.As(err, &host):
		return "the other role's certificate is for other hosts than the one that it tells others (--gateway.advertise-addr, --cache.advertise-addr)"
	case errors.As(err, &invalid):
		return "the other role's certificate is not valid: look at it, and at the clocks"
	case errors.As(err, &record):
		return "the other role does not speak TLS: give it " + area + ".tls-cert, too"
	case strings.Contains(err.Error(), "remote error: tls: "):
		return "the other role does not accept the certificate in " + area + ".tls-cert"
	}
	return ""
}
