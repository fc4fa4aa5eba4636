package lab

import (
	"fmt"
	"os"
	"sync"

	"eshop/pkg/lab/internal/wire"
)

// home is this process's tie to its keeper. It is package state on purpose: tests of one binary share servers without
// passing anything around, and the tie has to last as long as the process.
var home tie

type tie struct {
	mu     sync.Mutex
	socket string
	conn   *wire.Conn  // held open: its end tells the keeper that this process has ended
	keeper *os.Process // this process's own keeper; nil when it is shared
}

// reach makes the connection at first use. The lock is held while the keeper starts: others need it as well.
func (t *tie) reach() (*wire.Conn, string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn != nil {
		return t.conn, t.socket, nil
	}
	socket, conn, keeper, err := reachKeeper(os.Getenv("ESHOP_LAB_DIR"))
	if err != nil {
		return nil, "", err
	}
	t.conn, t.socket, t.keeper = conn, socket, keeper
	return conn, socket, nil
}

// ask puts one request over a connection of its own: the starts of different servers do not wait for each other.
func (t *tie) ask(r wire.Request) (wire.Response, error) {
	conn, err := t.connect()
	if err != nil {
		return wire.Response{}, err
	}
	defer conn.Close()
	return conn.Call(r, startLimit)
}

// connect opens a further connection, to own something.
func (t *tie) connect() (*wire.Conn, error) {
	_, socket, err := t.reach()
	if err != nil {
		return nil, err
	}
	return wire.Dial(socket)
}

func (t *tie) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil {
		return
	}
	if t.keeper != nil {
		// Nobody else uses this keeper. It ends after its servers.
		_, _ = t.conn.Call(wire.Request{Op: wire.Quit}, callLimit)
		_, _ = t.keeper.Wait()
		t.keeper = nil
	}
	t.conn.Close()
	t.conn = nil
}

// hello checks that whoever listens is a keeper of this version.
func hello(socket string) (*wire.Conn, error) {
	conn, err := wire.Dial(socket)
	if err != nil {
		return nil, err
	}
	answer, err := conn.Call(wire.Request{Op: wire.Hello}, callLimit)
	if err == nil && answer.Version != wire.Version {
		err = fmt.Errorf("the lab keeper (pid %d) speaks version %d, this test binary %d: end it and run again", answer.Pid, answer.Version, wire.Version)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}
