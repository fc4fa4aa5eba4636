package kafka

import (
	"net"
	"sync"
)

// listener remembers the open connections, so that Close can end them: the
// broker itself leaves them to their clients.
type listener struct {
	net.Listener
	mu    sync.Mutex
	shutd bool
	conns map[net.Conn]struct{}
	open  sync.WaitGroup
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	t := &tracked{Conn: c, l: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shutd {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	l.conns[t] = struct{}{}
	l.open.Add(1)
	return t, nil
}

// shut closes the listener and every connection, and waits until the broker has let go of each.
func (l *listener) shut() {
	_ = l.Close()
	l.mu.Lock()
	l.shutd = true
	for c := range l.conns {
		_ = c.(*tracked).Conn.Close() // the broker sees the error and calls the tracked Close
	}
	l.mu.Unlock()
	l.open.Wait()
}

type tracked struct {
	net.Conn
	l    *listener
	in   frame
	once sync.Once
}

// Read implements net.Conn. Bytes that are no Kafka request are not passed on.
func (t *tracked) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	if bad := t.in.pass(b[:n]); bad != nil {
		return 0, bad
	}
	return n, err
}

// Close implements net.Conn.
func (t *tracked) Close() error {
	err := t.Conn.Close()
	t.once.Do(func() {
		t.l.mu.Lock()
		delete(t.l.conns, t)
		t.l.mu.Unlock()
		t.l.open.Done()
	})
	return err
}
