package lab

import (
	"bufio"
	"fmt"
	"net"
	"testing"
)

// RedisCommand sends one command to whichever of the nodes has its key, and
// fails the test if none accepts it. It speaks the protocol by hand: what a
// client of the product would refuse to write is what tests want to see stored.
func RedisCommand(tb testing.TB, addrs []string, args ...string) {
	tb.Helper()
	var last string
	for _, addr := range addrs {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			last = err.Error()
			continue
		}
		fmt.Fprintf(conn, "*%d\r\n", len(args))
		for _, a := range args {
			fmt.Fprintf(conn, "$%d\r\n%s\r\n", len(a), a)
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		conn.Close()
		if err == nil && line[0] != '-' {
			return
		}
		last = line // MOVED: another node has it
	}
	tb.Fatalf("redis %v: %s", args, last)
}
