package lab

import (
	"testing"

	"eshop/pkg/lab/internal/server"
	"eshop/pkg/lab/internal/wire"
)

// group is what one test owns at the keeper, or, without a connection, a view of shared servers.
type group struct {
	tb   testing.TB
	kind string
	conn *wire.Conn
}

// newGroup asks for something new and has it end with the test. The end of each node's log is shown when the test failed.
func newGroup(tb testing.TB, kind string, r wire.Request) (*group, []wire.Node) {
	tb.Helper()
	conn, err := home.connect()
	if err != nil {
		tb.Fatalf("start %s: %v", kind, err)
	}
	answer, err := conn.Call(r, startLimit)
	if err != nil {
		conn.Close()
		tb.Fatalf("start %s: %v", kind, err)
	}
	g := &group{tb: tb, kind: kind, conn: conn}
	tb.Cleanup(func() {
		if tb.Failed() {
			for i, n := range answer.Nodes {
				tb.Logf("%s node %d, end of its log:\n%s", kind, i, server.Tail(n.Stdout))
				if n.Stderr != n.Stdout {
					tb.Logf("%s node %d, end of its error output:\n%s", kind, i, server.Tail(n.Stderr))
				}
			}
		}
		if _, err := conn.Call(wire.Request{Op: wire.Close}, callLimit); err != nil {
			tb.Errorf("end %s: %v", kind, err)
		}
		conn.Close()
	})
	return g, answer.Nodes
}

// call asks for something on the owned nodes. Failures are the test's failures; the call may come from any goroutine.
func (g *group) call(r wire.Request) (wire.Response, bool) {
	g.tb.Helper()
	if g.conn == nil {
		g.tb.Errorf("%s on a node of the shared %s: only dedicated servers may be touched", r.Op, g.kind)
		return wire.Response{}, false
	}
	answer, err := g.conn.Call(r, startLimit)
	if err != nil {
		g.tb.Errorf("%s on node %d of %s: %v", r.Op, r.Node, g.kind, err)
		return wire.Response{}, false
	}
	return answer, true
}
