package admission_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"eshop/pkg/admission"
)

// far is a connection from an address that this machine does not have.
type far struct {
	net.Conn
	from net.Addr
}

func (f far) RemoteAddr() net.Addr { return f.from }

// pipes is a listener that tests feed.
type pipes struct{ in chan net.Conn }

func (p *pipes) Accept() (net.Conn, error) {
	c, ok := <-p.in
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p *pipes) Close() error   { close(p.in); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func TestLimit(t *testing.T) {
	p := &pipes{in: make(chan net.Conn, 1)}
	proxy := netip.MustParseAddr("10.0.0.1")
	l := admission.Limit(p, admission.ListenerConfig{Connections: 8, PerAddress: 2, Exempt: func(a netip.Addr) bool { return a == proxy }})
	accepted := make(chan net.Conn, 16)
	done := make(chan error, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				done <- err
				return
			}
			accepted <- c
		}
	}()
	// come connects and returns the server's side, nil if it was closed at once.
	come := func(from string) net.Conn {
		client, server := net.Pipe()
		t.Cleanup(func() { client.Close() })
		p.in <- far{server, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 1))}
		closed := make(chan struct{})
		go func() { io.Copy(io.Discard, client); close(closed) }()
		select {
		case c := <-accepted:
			return c
		case <-closed:
			return nil
		case <-time.After(20 * time.Second):
			t.Fatal("neither accepted nor closed")
			return nil
		}
	}
	first := come("2001:db8::1")
	if first == nil || come("2001:db8::2") == nil {
		t.Fatal("two from one network may come")
	}
	if come("2001:db8::3") != nil {
		t.Error("a third from the same /64 was let in")
	}
	first.Close()
	first.Close() // servers do that; it counts once
	if come("2001:db8::3") == nil || come("2001:db8::4") != nil {
		t.Error("exactly one place was given back")
	}
	for range 3 {
		if come("10.0.0.1") == nil {
			t.Error("a load balancer is not bound by the limit for an address")
		}
		if come("127.0.0.1") == nil {
			t.Error("this machine is not")
		}
	}
	if l.Open() != 8 || come("198.51.100.1") != nil {
		t.Errorf("%d are open, at most 8 may be", l.Open())
	}
	if l.Refused() != 3 {
		t.Errorf("%d were refused, want 3", l.Refused())
	}
	p.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
