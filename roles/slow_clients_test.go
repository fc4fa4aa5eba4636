package roles_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eshop/pkg/hotlist"
)

// slowClients connect to an address and send what makes a server wait, a byte
// at a time, and again when they are cut off.
type slowClients struct {
	t       *testing.T
	stop    chan struct{}
	all     sync.WaitGroup
	cut     atomic.Int64
	longest atomic.Int64 // nanoseconds for which one connection was kept
	open    atomic.Int64
}

// begin has n clients say first, then one byte of drip after the other.
func (s *slowClients) begin(n int, addr, first string, drip func() []byte) {
	for range n {
		s.all.Go(func() {
			for s.once(addr, first, drip) {
			}
		})
	}
}

// once is one connection; false when the test is over.
func (s *slowClients) once(addr, first string, drip func() []byte) bool {
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	begin := time.Now()
	if err == nil {
		s.open.Add(1)
		defer s.open.Add(-1)
		defer c.Close()
		_, err = c.Write([]byte(first))
		go func() { // reads what it is told and notices the end
			var b [512]byte
			for {
				if _, err := c.Read(b[:]); err != nil {
					c.Close()
					return
				}
			}
		}()
	}
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return false
		case <-tick.C:
		}
		if err == nil {
			_, err = c.Write(drip())
		}
		if err != nil {
			s.cut.Add(1)
			kept := int64(time.Since(begin))
			for old := s.longest.Load(); kept > old && !s.longest.CompareAndSwap(old, kept); old = s.longest.Load() {
			}
			return true
		}
	}
}

// TestSlowClients has 500 clients (125 without ESHOP_LONG) that never finish their
// headers or their body, and some that send garbage, on every listener of every
// process: public, peer, cache and admin. Pages are answered as before, metrics
// can be scraped, and each slow client is cut off in time.
func TestSlowClients(t *testing.T) {
	n, span := long(125, 500), time.Duration(long(20, 60))*time.Second
	f := newFleet(t, shapes[3], hotlist.DefaultRule())
	path := func() string { return fmt.Sprintf("/product?productId=%d&shopId=1", 1+rand.N(600)) }
	quiet, end := f.steady(200, path)
	<-time.After(span / 4)
	end()
	before := f.memory()
	slow := &slowClients{t: t, stop: make(chan struct{})}
	var garbage atomic.Int64
	a := func() []byte { return []byte("a") }
	noise := func() []byte {
		garbage.Add(1)
		b := make([]byte, 1+rand.N(2000))
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
		return b
	}
	for _, addr := range append(f.inner, f.gateways...) {
		slow.begin(n*2/5, addr, "GET /product/1 HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", a)
		slow.begin(n*2/5, addr, "POST /product/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n", a)
		slow.begin(n/5, addr, "\x16\x03\x01\x02\x00", noise)
	}
	loaded, end := f.steady(200, path)
	scrapes, worst := 0, time.Duration(0)
	for over := time.Now().Add(span); time.Now().Before(over); {
		begin := time.Now()
		f.metric("eshop_gateway_connections") // of every gateway
		scrapes, worst = scrapes+1, max(worst, time.Since(begin))
		<-time.After(250 * time.Millisecond)
	}
	open, memory := slow.open.Load(), f.memory()
	end()
	close(slow.stop)
	slow.all.Wait()
	longest := time.Duration(slow.longest.Load()).Round(100 * time.Millisecond)
	t.Logf("%d slow clients on each of %d listeners (%d open), %d cut off after %v at most, %d × garbage; before: %v; meanwhile: %v; %d scrapes of all gateways, the longest %v; memory of the gateways %d → %d MiB",
		n, len(f.inner)+len(f.gateways), open, slow.cut.Load(), longest, garbage.Load(), quiet, loaded, scrapes, worst.Round(time.Millisecond), before>>20, memory>>20)
	if lost := loaded.lost.Load(); lost != 0 {
		t.Errorf("%d requests failed", lost)
	}
	// The longest limit is the cache role's for a body, 14 s; the machine may be busy.
	if longest > span*9/10 && longest > 18*time.Second {
		t.Errorf("a slow client was kept for %v", longest)
	}
	if slow.cut.Load() == 0 {
		t.Error("no slow client was ever cut off")
	}
}
