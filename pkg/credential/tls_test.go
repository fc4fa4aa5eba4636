package credential_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"eshop/pkg/credential"
	"eshop/pkg/lab"
)

// handshake has a client meet a server and returns what the client saw. Without a configuration a side speaks plain text.
func handshake(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		if server != nil {
			conn = tls.Server(conn, server)
		}
		_, _ = io.ReadFull(conn, make([]byte, 5))
		if server == nil {
			_, _ = conn.Write([]byte("-ERR what is this\r\n"))
		}
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if client != nil {
		conn = tls.Client(conn, client)
	}
	_, err = conn.Write([]byte("hello"))
	if err == nil {
		_, err = io.ReadAll(conn)
	}
	conn.Close()
	<-done
	return err
}

func TestConnection(t *testing.T) {
	ca, other := lab.NewAuthority(t), lab.NewAuthority(t)
	pair, err := tls.LoadX509KeyPair(ca.CertFile, ca.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	server := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	trusting, wrongName, old := ca.Client(t), ca.Client(t), ca.Client(t)
	wrongName.ServerName = "shop.internal"
	old.Time = func() time.Time { return time.Now().Add(-100 * 24 * time.Hour) }
	strict := server.Clone()
	strict.ClientAuth = tls.RequireAnyClientCert
	for _, tc := range []struct {
		name           string
		server, client *tls.Config
		want           string // "" when nothing is wrong
	}{
		{"all is well", server, trusting, ""},
		{"another authority", server, other.Client(t), "--redis.tls-ca-file"},
		{"another host", server, wrongName, "--redis.addrs"},
		{"not valid at this time", server, old, "--redis.tls-ca-file"},
		{"a plain server", nil, trusting, "does not speak TLS"},
		{"a client certificate is wanted", strict, trusting, "look at --redis.tls"},
		{"a plain client", server, nil, "give --redis.tls"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := handshake(t, tc.server, tc.client)
			if err == nil && tc.client == nil {
				err = io.EOF // what a client that waits for an answer sees
			}
			got := credential.Client{Area: "redis", Addrs: "addrs", Encrypted: tc.client != nil}.Connection(err)
			if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
				t.Errorf("%v: got %q, want %q in it", err, got, tc.want)
			}
		})
	}
	for _, err := range []error{nil, errors.New("something else"), syscall.ECONNREFUSED} {
		if got := (credential.Client{Area: "redis", Addrs: "addrs"}).Connection(err); got != "" {
			t.Errorf("%v: got %q, want nothing", err, got)
		}
	}
}

func TestAdvise(t *testing.T) {
	err := credential.Advise("look here", io.EOF)
	if got, want := err.Error(), "look here (EOF)"; got != want || !errors.Is(err, io.EOF) {
		t.Errorf("got %q, want %q", got, want)
	}
	wrapped := fmt.Errorf("join: %w", err)
	if again := credential.Advise("look there", wrapped); again != wrapped {
		t.Errorf("advised twice: %v", again)
	}
	if got := credential.Advise("", io.EOF); got != io.EOF {
		t.Errorf("no advice: got %v, want the error as it was", got)
	}
	if got := credential.Advise("look here", nil); got != nil {
		t.Errorf("no error: got %v", got)
	}
}
