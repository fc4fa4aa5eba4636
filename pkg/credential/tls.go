// Package credential says what is wrong when a server and a client do not accept each other: in one sentence that
// names the flag to look at. It also holds the tokens by which the processes of a fleet know each other.
package credential

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"syscall"
)

// Advise puts what to look at before an error, unless it has been told already or there is nothing to tell.
func Advise(advice string, err error) error {
	var told *advised
	if err == nil || advice == "" || errors.As(err, &told) {
		return err
	}
	return &advised{advice, err}
}

type advised struct {
	advice string
	err    error
}

func (a *advised) Error() string { return a.advice + " (" + a.err.Error() + ")" }
func (a *advised) Unwrap() error { return a.err }

// Client is one of the servers' clients as its flags set it up.
type Client struct {
	Area      string // first part of the flags' names: "redis"
	Addrs     string // the flag of the addresses, without its area: "addrs"
	Encrypted bool
}

// Connection says what is wrong when a connection failed with err before the server's first answer: "" when it is
// nothing to do with TLS.
func (c Client) Connection(err error) string {
	flag := func(name string) string { return "--" + c.Area + "." + name }
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &authority):
		return "the server's certificate is of an authority that is not trusted here: name its file in " + flag("tls-ca-file")
	case errors.As(err, &host):
		return "the server's certificate is for other hosts than the one in " + flag(c.Addrs)
	case errors.As(err, &invalid):
		return "the server's certificate is not valid here: look at it and at " + flag("tls-ca-file")
	case errors.As(err, &record):
		return "the server does not speak TLS at this port: look at " + flag("tls") + " and " + flag(c.Addrs)
	case c.Encrypted && strings.Contains(text(err), "tls: "):
		return "the TLS handshake failed: look at " + flag("tls") + " and at the server's log"
	case !c.Encrypted && HungUp(err):
		return "the server hung up: if it speaks TLS at this port, give " + flag("tls")
	}
	return ""
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// HungUp tells whether the other side ended the connection.
func HungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
