package fastpath_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // sleeps for 10 s once more
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1")) // for ever
}

// script is what a client sends on one connection, and with which methods.
type script struct {
	text    string
	methods []string
}

func (s *script) add(method, text string) {
	s.text += text
	s.methods = append(s.methods, method)
}

// write makes a client's part of a connection: requests that the fast path can
// answer and all kinds that it cannot; the last one may end the connection.
func write(rnd *rand.Rand) script {
	var s script
	for i := range 1 + rnd.IntN(12) {
		target := fmt.Sprintf("/%d/%s", i, strings.Repeat("x", rnd.IntN(90)))
		switch rnd.IntN(12) {
		case 0:
			s.add("POST", "POST "+target+" HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /")
		case 1:
			s.add("POST", "POST "+target+" HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
		case 2:
			s.add("GET", "GET "+target+"/slow HTTP/1.1\r\nHost: a\r\n\r\n")
		case 3:
			s.add("HEAD", "HEAD "+target+" HTTP/1.1\r\nHost: a\r\n\r\n")
		case 4:
			s.add("GET", "GET "+target+" HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
		case 5:
			s.add("GET", "GET "+target+" HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nX-Long: "+strings.Repeat("y", rnd.IntN(3000))+"\r\n\r\n")
		case 6:
			if rnd.IntN(4) == 0 {
				s.add("GET", "GET "+target+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
				return s
			}
			s.add("GET", "GET "+target+" HTTP/1.1\nHost: a\n\n")
		case 7:
			if rnd.IntN(4) == 0 {
				s.add("GET", "GET "+target+" HTTP/1.0\r\nHost: a\r\n\r\n")
				return s
			}
			s.add("HEAD", "HEAD "+target+"/slow HTTP/1.1\r\nHost: a\r\n\r\n")
		default:
			s.add("GET", "GET "+target+" HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n")
		}
	}
	if rnd.IntN(5) == 0 {
		s.add("GET", "nonsense\r\n\r\n")
	}
	return s
}

// play sends a script in pieces and returns the answers.
func play(t *testing.T, s *shop, sc script, pieces []int) []string {
	c := s.dial(t)
	defer c.Close()
	sent := make(chan error, 1)
	go func() {
		text := sc.text
		for _, n := range pieces {
			n = min(n, len(text))
			if _, err := io.WriteString(c, text[:n]); err != nil {
				sent <- nil // the server may have ended the connection
				return
			}
			text = text[n:]
			runtime.Gosched()
		}
		if _, err := io.WriteString(c, text); err == nil {
			c.CloseWrite()
		}
		sent <- nil
	}()
	defer func() { <-sent }()
	r := bufio.NewReader(c)
	var got []string
	for _, method := range sc.methods {
		line, err := read(r, method)
		if err != nil {
			got = append(got, "no answer")
			break
		}
		got = append(got, line)
	}
	return got
}

// Whatever comes, in whatever pieces, the answers are those of the server alone,
// in the same order.
func TestSameAnswers(t *testing.T) { both(t, sameAnswers) }

func sameAnswers(t *testing.T, open opening) {
	plain, fast := openPlain(t, false, nil), open(t, true, nil)
	rounds := 300
	if testing.Short() {
		rounds = 60
	}
	for seed := range uint64(rounds) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		sc := write(rnd)
		var pieces []int
		for range rnd.IntN(20) {
			pieces = append(pieces, 1+rnd.IntN(1+rnd.IntN(400)))
		}
		want, got := play(t, plain, sc, nil), play(t, fast, sc, pieces)
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("seed %d, pieces %v:\n%q\ngot  %.300q\nwant %.300q", seed, pieces, sc.text, got, want)
		}
	}
	if fast.fast.Load() == 0 || fast.behind.Load() == 0 {
		t.Errorf("%d answers by the fast path, %d by the server", fast.fast.Load(), fast.behind.Load())
	}
	t.Logf("%d answers by the fast path, %d by the server", fast.fast.Load(), fast.behind.Load())
}

// As many requests as fill a write, and one more or less, sent together: by twos,
// and by ones without a body.
func TestFullWrites(t *testing.T) { both(t, fullWrites) }

func fullWrites(t *testing.T, open opening) {
	s := open(t, true, nil)
	for n := 1; n <= 70; n++ {
		for _, method := range []string{"GET", "HEAD"} {
			c := s.dial(t)
			if _, err := io.WriteString(c, strings.Repeat(method+" /1 HTTP/1.1\r\nHost: a\r\n\r\n", n)); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(c)
			for i := range n {
				if _, err := read(r, method); err != nil {
					t.Fatalf("answer %d of %d: %v", i, n, err)
				}
			}
			c.Close()
		}
	}
}

// A client that closes its side together with its request gets its answer and
// then the end, not the end of the idle time.
func TestHalfClosed(t *testing.T) { both(t, halfClosed) }

func halfClosed(t *testing.T, open opening) {
	s := open(t, true, func(s *fasthttp.Server) { s.IdleTimeout = time.Hour })
	for range 20 {
		c := s.dial(t)
		if _, err := io.WriteString(c, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			r := bufio.NewReader(c)
			if _, err := read(r, "GET"); err != nil {
				t.Error(err)
			}
			if _, err := r.ReadByte(); err != io.EOF {
				t.Errorf("after the answer: %v, want the end", err)
			}
		})
	}
}

// The time for a request is not renewed by each of its bytes; a connection between
// requests has the idle time, also when that is beyond the first look at it.
func TestTimeouts(t *testing.T) { both(t, timeouts) }

func timeouts(t *testing.T, open opening) {
	for _, c := range []struct {
		name       string
		read, idle time.Duration
		first      string
		drip       bool
		want       string // of the answer that ends it
	}{
		{"a request that does not end", 400 * time.Millisecond, time.Hour, "", true, "408"},
		{"a request that does not end, after one", 400 * time.Millisecond, time.Hour, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", true, "408"},
		{"idle", time.Hour, 400 * time.Millisecond, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", false, ""},
		{"idle for longer", time.Hour, 2500 * time.Millisecond, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, true, func(s *fasthttp.Server) { s.ReadTimeout, s.IdleTimeout = c.read, c.idle })
			conn := s.dial(t)
			if _, err := io.WriteString(conn, c.first); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(conn)
			if c.first != "" {
				if _, err := read(r, "GET"); err != nil {
					t.Fatal(err)
				}
			}
			if c.drip {
				stop := make(chan struct{})
				defer close(stop)
				go func() {
					tick := time.NewTicker(20 * time.Millisecond)
					defer tick.Stop()
					_, err := io.WriteString(conn, "GET /")
					for err == nil {
						select {
						case <-stop:
							return
						case <-tick.C:
							_, err = io.WriteString(conn, "a")
						}
					}
				}()
			}
			start := time.Now()
			line, err := read(r, "GET")
			if c.want == "" && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) || !strings.HasPrefix(line, c.want) {
				t.Errorf("it ended with %.100q, %v; want %q", line, err, c.want)
			}
			if limit := min(c.read, c.idle); time.Since(start) < limit/2 {
				t.Errorf("it ended after %v, the limit is %v", time.Since(start), limit)
			}
		})
	}
}

// A client that does not read is not waited for beyond the time for writing.
func TestSlowReader(t *testing.T) { both(t, slowReader) }

func slowReader(t *testing.T, open opening) {
	s := open(t, true, func(s *fasthttp.Server) { s.WriteTimeout = 300 * time.Millisecond })
	c := s.dial(t)
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		tcp = c.(*tls.Conn).NetConn().(*net.TCPConn)
	}
	if err := tcp.SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	target := "/" + strings.Repeat("x", 600) // about 10 KiB each
	var err error
	for range 100_000 {
		if _, err = io.WriteString(c, "GET "+target+" HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			break
		}
	}
	if ne := net.Error(nil); err == nil || errors.As(err, &ne) && ne.Timeout() {
		t.Errorf("the connection went on: %v", err)
	}
}

// While the server shuts down no client finds its connection closed in place of
// an answer, busy as it may be; it is told to close.
func TestShutdownUnderLoad(t *testing.T) { both(t, shutdownUnderLoad) }

func shutdownUnderLoad(t *testing.T, open opening) {
	s := open(t, true, nil)
	var clients sync.WaitGroup
	var answers sync.WaitGroup
	answers.Add(8)
	for range 8 {
		c := s.dial(t)
		clients.Go(func() {
			r := bufio.NewReader(c)
			for i := 0; ; i++ {
				if i == 50 {
					answers.Done()
				}
				_, err := io.WriteString(c, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
				line, err2 := read(r, "GET")
				if err != nil || err2 != nil {
					t.Errorf("request %d: %v, %v", i, err, err2)
					return
				}
				if strings.Contains(line, "close=true") {
					return
				}
			}
		})
	}
	answers.Wait()
	idle := s.dial(t)
	if _, err := io.WriteString(idle, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(idle)
	if _, err := read(r, "GET"); err != nil {
		t.Fatal(err)
	}
	s.listener.Drain()
	if err := s.server.Shutdown(); err != nil {
		t.Error(err)
	}
	clients.Wait()
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection ended with %v", err)
	}
}

// An answer allocates nothing.
func TestNoAllocation(t *testing.T) { both(t, noAllocation) }

func noAllocation(t *testing.T, open opening) {
	s := open(t, true, nil)
	c := s.dial(t)
	request := []byte("GET /1 HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\nAccept-Encoding: gzip\r\nIf-None-Match: \"a\"\r\n\r\n")
	in := make([]byte, 64<<10)
	one := func() {
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(in); err != nil {
			t.Fatal(err)
		}
	}
	// The test's own answer takes a string and a body; crypto/tls takes one for each record that is read, at either
	// end, and the client's one that is written. The race detector has pools forget a quarter of what they are given.
	want := 2.0
	if s.client != nil {
		want = 5
	}
	if n := testing.AllocsPerRun(300, one); n > want && !raceDetector {
		t.Errorf("%v allocations an answer, want %v", n, want)
	}
}
