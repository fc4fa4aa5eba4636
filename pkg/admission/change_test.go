package admission_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/admission"
)

// Who waits gets the slots that are added; those above a smaller number end before another begins.
func TestSlotsCanBeChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := admission.NewGate(admission.Config{Name: "x", Slots: 1, Queue: 10, Interval: time.Minute})
		var passes []admission.Pass
		enter := make(chan admission.Pass, 10)
		for range 4 {
			go func() {
				if p, err := g.Enter(t.Context()); err == nil {
					enter <- p
				}
			}()
		}
		inside := func(n int) {
			t.Helper()
			synctest.Wait()
			for len(enter) > 0 {
				passes = append(passes, <-enter)
			}
			if st := g.State(); st.Running != n || len(passes) != n {
				t.Fatalf("%d run, want %d: %+v", len(passes), n, st)
			}
		}
		leave := func() {
			passes[0].Leave()
			passes = passes[1:]
		}
		inside(1)
		g.SetSlots(3)
		inside(3)
		g.SetSlots(2)
		leave()
		inside(2) // the fourth still waits
		leave()
		inside(2)
		leave()
		leave()
		inside(0)
		if _, err := g.Enter(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestRatesCanBeChanged(t *testing.T) {
	r := newRates(t, admission.RatesConfig{PerSecond: 1, Burst: 3})
	a, b := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.2")
	now := time.Now()
	for range 3 {
		r.Spend(a, now)
	}
	if wait, spent := r.Spent(a, now); !spent || wait != time.Second {
		t.Errorf("at one a second: wait %v, spent %v", wait, spent)
	}
	r.SetLimits(10, 1)
	if wait, spent := r.Spent(a, now); !spent || wait > 110*time.Millisecond {
		t.Errorf("at ten a second: wait %v, spent %v", wait, spent)
	}
	r.Spend(b, now)
	if _, spent := r.Spent(b, now); !spent {
		t.Error("a burst of one is spent by one")
	}
}

func TestConnectionLimitsCanBeChanged(t *testing.T) {
	p := &pipes{in: make(chan net.Conn)}
	l := admission.Limit(p, admission.ListenerConfig{Connections: 8, PerAddress: 1})
	accepted := make(chan net.Conn, 16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	come := func(from string) bool {
		t.Helper()
		client, server := net.Pipe()
		t.Cleanup(func() { client.Close() })
		p.in <- far{server, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 1))}
		closed := make(chan struct{})
		go func() { io.Copy(io.Discard, client); close(closed) }()
		select {
		case <-accepted:
			return true
		case <-closed:
			return false
		case <-time.After(20 * time.Second):
			t.Fatal("neither accepted nor closed")
			return false
		}
	}
	if !come("198.51.100.1") || come("198.51.100.1") {
		t.Error("one from an address may come")
	}
	l.SetLimits(3, 2)
	if !come("198.51.100.1") || come("198.51.100.1") {
		t.Error("two from an address may come")
	}
	if !come("198.51.100.2") || come("198.51.100.3") {
		t.Error("three in all may come")
	}
	l.SetLimits(2, 2)
	if l.Open() != 3 || come("198.51.100.3") {
		t.Errorf("%d are open; those that are stay, others do not come", l.Open())
	}
	p.Close()
	<-done
}
