// Package wire is the contract between a test binary and the lab keeper: one JSON object a line in each direction over a
// Unix socket, one answer to each request, in order. What a connection creates belongs to it and ends with it.
package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Version changes whenever a message does; keeper and test binary must agree.
const Version = 3

// Kinds of servers.
const (
	Redis     = "redis"
	ZooKeeper = "zookeeper"
	Kafka     = "kafka"
)

// Operations.
const (
	Hello    = "hello"    // answers version and pid
	Shared   = "shared"   // the one shared set of servers of Kind; starts it at first
	New      = "new"      // a set of servers of Kind owned by this connection
	Run      = "run"      // any command, owned by this connection
	Signal   = "signal"   // Node gets Signal
	Restart  = "restart"  // Node is killed when it runs, and started again
	Wait     = "wait"     // until Node has exited, at most Timeout
	Announce = "announce" // the Redis nodes of this connection tell the addresses of Announce from now on
	Close    = "close"    // ends everything this connection owns and answers when it is gone
	Quit     = "quit"     // ends the keeper; the connection closes when everything is gone
)

// Signals.
const (
	Kill      = "kill"
	Terminate = "term"
	Pause     = "stop"
	Resume    = "cont"
)

// Command is any program: Env is the whole environment.
type Command struct {
	Path string   `json:"path"`
	Args []string `json:"args"`
	Env  []string `json:"env"`
	Dir  string   `json:"dir"`
}

// Request is one line from the test binary.
type Request struct {
	Op       string        `json:"op"`
	Kind     string        `json:"kind,omitempty"`
	Announce []string      `json:"announce,omitempty"` // host:port each node tells clients, by node
	Command  *Command      `json:"command,omitempty"`
	Node     int           `json:"node,omitempty"`
	Signal   string        `json:"signal,omitempty"`
	Timeout  time.Duration `json:"timeout,omitempty"`
}

// Node is one running process.
type Node struct {
	Addr   string `json:"addr"` // where clients connect; empty for a plain command
	Pid    int    `json:"pid"`
	Stdout string `json:"stdout"` // log files; the same one for servers
	Stderr string `json:"stderr"`
}

// Response is one line from the keeper.
type Response struct {
	Error   string `json:"error,omitempty"`
	Version int    `json:"version,omitempty"`
	Pid     int    `json:"pid,omitempty"`
	Nodes   []Node `json:"nodes,omitempty"`
	Exited  bool   `json:"exited,omitempty"`
	Code    int    `json:"code,omitempty"` // exit code; -1 after a signal
}

// State is what a keeper that several test binaries share writes into their directory.
type State struct {
	Version int    `json:"version"`
	Socket  string `json:"socket"`
	Pid     int    `json:"pid"`
}

// Conn is the test binary's end. Calls are answered one after the other.
type Conn struct {
	mu  sync.Mutex
	c   net.Conn
	dec *json.Decoder
}

// Dial connects to the keeper's socket.
func Dial(socket string) (*Conn, error) {
	c, err := net.DialTimeout("unix", socket, 5*time.Second)
	if err != nil {
		return nil, fmt.Errorf("connect to the lab keeper: %w", err)
	}
	return &Conn{c: c, dec: json.NewDecoder(c)}, nil
}

// Call sends a request and reads the answer, within the limit.
func (c *Conn) Call(r Request, limit time.Duration) (Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var answer Response
	if err := c.c.SetDeadline(time.Now().Add(limit)); err != nil {
		return answer, fmt.Errorf("ask the lab keeper for %q: %w", r.Op, err)
	}
	line, err := json.Marshal(r)
	if err != nil {
		return answer, fmt.Errorf("encode the request %q to the lab keeper: %w", r.Op, err)
	}
	if _, err := c.c.Write(append(line, '\n')); err != nil {
		return answer, fmt.Errorf("ask the lab keeper for %q: %w", r.Op, err)
	}
	if err := c.dec.Decode(&answer); err != nil {
		return answer, fmt.Errorf("read the lab keeper's answer to %q: %w", r.Op, err)
	}
	if answer.Error != "" {
		return answer, errors.New(answer.Error)
	}
	return answer, nil
}

// Close drops the connection; the keeper ends what it owns.
func (c *Conn) Close() error { return c.c.Close() }
