package roles_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// load sends requests at a rate over kept connections, evenly over the gateways.
type load struct {
	f      *fleet
	failed atomic.Int64
}

func newLoad(f *fleet) *load { return &load{f: f} }

// stream is one load under way.
type stream struct {
	sent  atomic.Int64
	mark  int64        // the request of which at is the time
	at    atomic.Int64 // unix nanoseconds, 0 until it was sent
	close func()
}

// count is called before each request.
func (s *stream) count() {
	if s.sent.Add(1) == s.mark {
		s.at.Store(time.Now().UnixNano())
	}
}

// begin sends rate requests a second until the stream is closed, or the test
// ends, with six connections to each gateway. It never runs ahead to make up
// for a delay of more than 20 ms.
func (l *load) begin(rate int, mark int64, path func() string) *stream {
	s := &stream{mark: mark}
	const each = 6
	due := make(chan struct{}, rate/50+1)
	end := make(chan struct{})
	var wg sync.WaitGroup
	for i := range each * len(l.f.gateways) {
		c := l.dial(l.f.gateways[i%len(l.f.gateways)])
		wg.Go(func() {
			defer c.Close()
			for range due {
				s.count()
				if status, _ := c.get(path()); status != 200 {
					l.failed.Add(1)
				}
			}
		})
	}
	wg.Go(func() {
		defer close(due)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		start, given := time.Now(), 0
		for {
			select {
			case <-end:
				return
			case <-tick.C:
			}
			for want := int(time.Since(start).Seconds() * float64(rate)); given < want; given++ {
				select {
				case due <- struct{}{}:
				default:
				}
			}
		}
	})
	s.close = sync.OnceFunc(func() { close(end); wg.Wait() })
	l.f.t.Cleanup(s.close)
	return s
}

// client is one kept connection that reads no more of an answer than it must.
type client struct {
	net.Conn
	r *bufio.Reader
}

func (l *load) dial(addr string) *client {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		l.f.t.Fatal(err)
	}
	return &client{conn, bufio.NewReaderSize(conn, 4<<10)}
}

// get returns status 0 for anything that is no answer.
func (c *client) get(path string) (status int, cacheStatus string) { return c.send(path, "") }

// getAs asks as a load balancer does for a client.
func (c *client) getAs(path, client string) (status int, cacheStatus string) {
	return c.send(path, "X-Forwarded-For: "+client+"\r\n")
}

func (c *client) send(path, header string) (status int, cacheStatus string) {
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: shop\r\n"+header+"\r\n"); err != nil {
		return 0, err.Error()
	}
	length := 0
	for first := true; ; first = false {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return 0, err.Error()
		}
		line = bytes.TrimRight(line, "\r\n")
		if first {
			if status, err = strconv.Atoi(string(line[9:min(12, len(line))])); err != nil {
				return 0, string(line)
			}
			continue
		}
		if len(line) == 0 {
			break
		}
		if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length, _ = strconv.Atoi(string(v))
		}
		if v, ok := bytes.CutPrefix(line, []byte("Cache-Status: ")); ok {
			cacheStatus = string(v)
		}
	}
	if _, err := c.r.Discard(length); err != nil {
		return 0, err.Error()
	}
	return status, cacheStatus
}
