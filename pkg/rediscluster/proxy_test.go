package rediscluster_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// proxy stands in front of a Redis and shows its commands to intercept, which
// may answer one itself with raw RESP, or "" to pass it on; with lose it is
// passed on and the connection is cut in place of the answer.
type proxy struct {
	addr      string
	intercept func(args []string) (answer string, lose bool)

	mu    sync.Mutex
	conns []net.Conn
}

func newProxy(t *testing.T, target string, intercept func(args []string) (string, bool)) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String(), intercept: intercept}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			back, err := net.Dial("tcp", target)
			if err != nil {
				c.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, c, back)
			p.mu.Unlock()
			work.Go(func() {
				defer c.Close()
				defer back.Close()
				p.serve(c, back)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		work.Wait()
	})
	return p
}

func (p *proxy) serve(c, back net.Conn) {
	from, answers := bufio.NewReader(c), bufio.NewReader(back)
	for {
		raw, args, err := readFrame(from)
		if err != nil {
			return
		}
		answer, lose := p.intercept(args)
		if answer == "" {
			if _, err := io.WriteString(back, raw); err != nil {
				return
			}
			if answer, _, err = readFrame(answers); err != nil || lose {
				return
			}
		}
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

// readFrame reads one RESP2 value: its bytes and, for a flat array, its texts.
func readFrame(r *bufio.Reader) (raw string, texts []string, err error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", nil, err
	}
	raw = line
	n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
	switch line[0] {
	case '$':
		if n >= 0 {
			b := make([]byte, n+2)
			if _, err := io.ReadFull(r, b); err != nil {
				return "", nil, err
			}
			return raw + string(b), []string{string(b[:n])}, nil
		}
	case '*':
		for range n {
			part, text, err := readFrame(r)
			if err != nil {
				return "", nil, err
			}
			raw += part
			texts = append(texts, text...)
		}
	}
	return raw, texts, nil
}

// slotsAnswer is CLUSTER SLOTS with one master for everything.
func slotsAnswer(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	id := strings.Repeat("0", 35) + port
	return fmt.Sprintf("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$%d\r\n%s\r\n:%s\r\n$%d\r\n%s\r\n", len(host), host, port, len(id), id)
}

func isSlots(args []string) bool {
	return len(args) == 2 && strings.EqualFold(args[0], "cluster") && strings.EqualFold(args[1], "slots")
}
