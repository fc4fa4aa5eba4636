package server

import (
	"net"
	"strconv"
	"testing"
)

func TestPortsAreTakenOnce(t *testing.T) {
	var a, b ports
	defer a.close()
	defer b.close()
	low, high := portRange()
	seen := map[int]bool{}
	for i := range 200 {
		p := &a
		if i%2 == 1 {
			p = &b // as another keeper
		}
		offset := 0
		if i%3 == 0 {
			offset = busOffset
		}
		port, err := p.take(offset)
		if err != nil {
			t.Fatal(err)
		}
		if port < low || port+offset >= high {
			t.Errorf("got port %d with offset %d, want both within %d to %d", port, offset, low, high)
		}
		taken := []int{port}
		if offset != 0 {
			taken = append(taken, port+offset)
		}
		for _, q := range taken {
			if seen[q] {
				t.Errorf("port %d is given out twice", q)
			}
			seen[q] = true
		}
	}
}

func TestPortsComeBack(t *testing.T) {
	var p ports
	port, err := p.take(0)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := reserve(port); ok {
		t.Errorf("port %d could be reserved twice", port)
	}
	p.close()
	locks, ok := reserve(port)
	if !ok {
		t.Fatalf("port %d does not come back", port)
	}
	release(locks)
}

// A port that a program outside the lab listens on is never given out.
func TestPortsInUseAreLeft(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, text, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	if locks, ok := reserve(port); ok {
		release(locks)
		t.Errorf("port %d is in use and was reserved", port)
	}
}
