package admin

import (
	"net"
	"testing"
	"time"
)

func TestConnectionsAreBounded(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limit(inner, 2)
	accepted := make(chan net.Conn)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	for range 3 {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	first, second := <-accepted, <-accepted
	select {
	case <-accepted:
		t.Error("a third connection was accepted while two are open")
	case <-time.After(50 * time.Millisecond):
	}
	first.Close()
	first.Close() // gives back one slot only
	third := <-accepted
	select {
	case <-accepted:
		t.Error("closing twice gave back two slots")
	case <-time.After(20 * time.Millisecond):
	}
	if err := l.Close(); err != nil { // while Accept waits for a slot
		t.Error(err)
	}
	<-ended
	second.Close()
	third.Close()
}
