package rediscluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

func node(id string) redis.ClusterNode { return redis.ClusterNode{ID: id, Addr: id + ":1"} }

func slotsOf(a, replica, b redis.ClusterNode) []redis.ClusterSlot {
	return []redis.ClusterSlot{
		{Start: 0, End: 8000, Nodes: []redis.ClusterNode{a, replica}},
		{Start: 8001, End: 16383, Nodes: []redis.ClusterNode{b}},
	}
}

func reversed(s []redis.ClusterSlot) []redis.ClusterSlot {
	slices.Reverse(s)
	return s
}

// reply is an error as a server sends it.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

var dialRefused = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}

// PITFALLS 19, 20: what makes the slots be reloaded, and what does not.
func TestPitfall19And20ReloadReason(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{nil, ""}, {redis.Nil, ""}, {context.Canceled, ""}, {redis.ErrClosed, ""}, {redis.ErrPoolTimeout, ""},
		{reply("WRONGTYPE Operation against a key"), ""}, {reply("NOSCRIPT No matching script."), ""}, {reply("ERR syntax"), ""},
		{reply("MOVED 3999 127.0.0.1:6381"), "moved"}, {reply("READONLY You can't write against a read only replica."), "readonly"},
		{reply("CLUSTERDOWN Hash slot not served"), "down"}, {reply("MASTERDOWN Link with MASTER is down"), "down"}, {reply("LOADING Redis is loading"), "down"},
		{dialRefused, "network"}, {fmt.Errorf("dial: %w", dialRefused), "network"}, {io.EOF, "network"}, {io.ErrUnexpectedEOF, "network"},
		{context.DeadlineExceeded, "network"}, {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, "network"},
	} {
		if got := reloadReason(tc.err); got != tc.want {
			t.Errorf("reloadReason(%v) = %q, want %q", tc.err, got, tc.want)
		}
	}
}

func TestAnswerLost(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want bool
	}{
		{nil, false}, {reply("READONLY You can't write"), false}, {redis.Nil, false}, {redis.ErrPoolTimeout, false}, {dialRefused, false},
		{io.EOF, true}, {context.DeadlineExceeded, true}, {errors.New("broken"), true}, {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, true},
	} {
		if got := answerLost(tc.err); got != tc.want {
			t.Errorf("answerLost(%v) = %v, want %v", tc.err, got, tc.want)
		}
	}
}
