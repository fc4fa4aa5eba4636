package fault_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// ports finds addresses that stay a process's own while it is dead: below the range from which the kernel takes the own
// ends of outgoing connections. They are held until the process is about to start.
type ports struct{ held []net.Listener }

func (p *ports) take(t testing.TB) string {
	t.Helper()
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 11_000+rand.N(20_000)))
		if err == nil {
			p.held = append(p.held, l)
			return l.Addr().String()
		}
	}
	t.Fatal("no free port was found")
	return ""
}

func (p *ports) release() {
	for _, l := range p.held {
		l.Close()
	}
	p.held = nil
}
