package server

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
)

// ports hands out TCP ports of the loopback address. A port is reserved against every other keeper on the machine by an
// abstract Unix socket of that number, held for as long as the port may be used again (a killed server keeps its port for
// its restart) and gone with the keeper whatever happens. Ports lie below the kernel's ephemeral range, so no outgoing
// connection takes one between two starts.
type ports struct {
	mu   sync.Mutex
	held []net.Listener
}

// busOffset is the distance between a Redis node's port and its cluster bus.
const busOffset = 10000

// take reserves a port, and port+offset as well when offset is not 0.
func (p *ports) take(offset int) (int, error) {
	low, high := portRange()
	if offset > 0 && high-low > offset+500 {
		high -= offset
	}
	for range 2000 {
		port := low + rand.IntN(high-low)
		locks, ok := reserve(port)
		if !ok {
			continue
		}
		if offset > 0 {
			more, ok := reserve(port + offset)
			if !ok {
				release(locks)
				continue
			}
			locks = append(locks, more...)
		}
		p.mu.Lock()
		p.held = append(p.held, locks...)
		p.mu.Unlock()
		return port, nil
	}
	return 0, fmt.Errorf("no free port found between %d and %d", low, high)
}

// close gives all ports back.
func (p *ports) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	release(p.held)
	p.held = nil
}

func release(locks []net.Listener) {
	for _, l := range locks {
		l.Close()
	}
}

func reserve(port int) ([]net.Listener, bool) {
	if port > 65535 {
		return nil, false
	}
	lock, err := net.Listen("unix", "@eshop-lab-port-"+strconv.Itoa(port))
	if err != nil {
		return nil, false
	}
	probe, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		lock.Close()
		return nil, false
	}
	probe.Close()
	return []net.Listener{lock}, true
}

// portRange is the room below the ephemeral ports, or above them when there is little below.
func portRange() (low, high int) {
	low, high = 10240, 32768
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return low, high
	}
	f := strings.Fields(string(text))
	if len(f) != 2 {
		return low, high
	}
	first, errFirst := strconv.Atoi(f[0])
	last, errLast := strconv.Atoi(f[1])
	switch {
	case errFirst != nil || errLast != nil:
		return low, high
	case first-low >= 2000:
		return low, first
	case 65536-last >= 1000:
		return last + 1, 65536
	}
	return low, high
}

// TakePort reserves one port for a server that is started from outside this package, and a second one offset above it
// unless offset is 0. Release gives them back, once the server is gone.
func TakePort(offset int) (port int, release func(), err error) {
	var p ports
	port, err = p.take(offset)
	return port, p.close, err
}

// RedisBusOffset is the distance between a Redis node's port and its cluster bus.
const RedisBusOffset = busOffset
