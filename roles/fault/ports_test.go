package fault_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// ports finds addresses that stay a process's own while it is dead: below the range from which the kernel takes the own
// ends of outgoing connections. They are held until the process is about to start.
type ports struct{ held []net.Listener }

// given are the addresses of all processes so far: none is given twice.
var given sync.Map

func (p *ports) take(t testing.TB) string {
	t.Helper()
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 11_000+rand.N(20_000)))
		if err != nil {
			continue
		}
		if _, before := given.LoadOrStore(l.Addr().String(), true); before {
			l.Close() // its process may not have begun to listen yet
			continue
		}
		p.held = append(p.held, l)
		return l.Addr().String()
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
