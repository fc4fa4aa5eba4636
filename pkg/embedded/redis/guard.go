package redis

import (
	"bufio"
	"bytes"
	"io"
	"sync"
	"sync/atomic"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

const (
	msgCrossSlot  = "CROSSSLOT Keys in request don't hash to the same slot"
	msgOOM        = "OOM command not allowed when used memory > 'maxmemory'."
	msgMaxClients = "ERR max number of clients reached"
	msgAborted    = "EXECABORT Transaction discarded because of previous errors."
)

// maxQueued bounds the keys remembered for one transaction.
const maxQueued = 4096

// guard stands before every command as miniredis's pre-hook.
type guard struct {
	mini *miniredis.Miniredis
	srv  *server.Server
	db   *miniredis.RedisDB
	cfg  Config
	self node

	usage     *usage
	measuring sync.Mutex // serialises measure-then-record; taken before miniredis's lock
	writes    atomic.Uint64
	evicted   atomic.Uint64

	mu       sync.Mutex
	sessions map[*server.Peer]*session
}

// session is one connection. Only its own goroutine uses it.
type session struct {
	inside bool // the guard itself is dispatching
	multi  bool
	dirty  bool // a queued command was refused
	slot   int  // of the transaction, -1: none yet
	cross  bool
	queued []string
}

// hook decides on one command and returns true if it was dealt with.
//
// miniredis calls it for the commands of scripts too, on a scratch peer and with
// its own lock held; then it must not call into miniredis. Such a peer is told
// from a connection by its Ctx: miniredis gives it one before its first command,
// a connection gets one only in its first command.
func (g *guard) hook(c *server.Peer, cmd string, args ...string) bool {
	s, refused := g.session(c)
	if refused {
		c.WriteError(msgMaxClients)
		c.Close()
		return true
	}
	if s != nil && s.inside {
		return false
	}
	keys := keysOf(cmd, args)
	slot, one := oneSlot(keys)
	if message := refusal(cmd, args, one); message != "" {
		if s != nil && s.multi {
			s.dirty = true
		}
		c.WriteError(message)
		return true
	}
	g.usage.touch(keys)
	script := cmd == "EVAL" || cmd == "EVALSHA" // may write keys it did not declare
	write := (len(keys) > 0 || script) && !g.srv.IsReadOnlyCommand(cmd)
	if s == nil {
		if write {
			g.usage.soil(keys)
		}
		return false
	}
	return g.outer(c, s, cmd, args, keys, slot, write)
}

// outer deals with a command that came over a connection.
func (g *guard) outer(c *server.Peer, s *session, cmd string, args, keys []string, slot int, write bool) bool {
	switch cmd {
	case "CLUSTER", "INFO":
		if s.multi {
			s.dirty = true
			c.WriteError("ERR " + cmd + " is not allowed in transactions")
		} else if cmd == "INFO" {
			g.info(c, args)
		} else {
			g.cluster(c, args)
		}
		return true
	case "MULTI":
		if !s.multi {
			*s = session{multi: true, slot: -1}
		}
		return false
	case "DISCARD":
		*s = session{}
		return false
	case "EXEC":
		return g.exec(c, s)
	case "FLUSHALL", "FLUSHDB":
		g.dispatch(c, s, cmd, args)
		if !s.multi {
			g.reconcile()
		}
		return true
	}
	if s.multi && len(keys) > 0 {
		s.cross = s.cross || (s.slot >= 0 && s.slot != slot)
		s.slot = slot
	}
	if !write {
		return false
	}
	brought := 0
	for _, a := range args {
		brought += len(a)
	}
	if int64(brought) > g.cfg.MaxBytes {
		s.dirty = s.multi
		c.WriteError(msgOOM)
		return true
	}
	g.evict()
	g.dispatch(c, s, cmd, args)
	if s.multi {
		if len(s.queued)+len(keys) <= maxQueued { // more are found at the next tick
			s.queued = append(s.queued, keys...)
		}
		return true
	}
	g.measure(keys, int64(brought))
	return true
}

func (g *guard) exec(c *server.Peer, s *session) bool {
	if !s.multi {
		return false
	}
	defer func() { *s = session{} }()
	if s.dirty || s.cross {
		// The reply of DISCARD goes nowhere; it ends the transaction.
		scratch := server.NewPeer(bufio.NewWriter(io.Discard))
		scratch.Ctx = c.Ctx
		g.srv.Dispatch(scratch, []string{"DISCARD"})
		if s.dirty {
			c.WriteError(msgAborted)
		} else {
			c.WriteError(msgCrossSlot)
		}
		return true
	}
	queued := s.queued
	g.evict()
	g.dispatch(c, s, "EXEC", nil)
	g.measure(queued, 0)
	return true
}

// dispatch runs a command with the guard out of the way.
func (g *guard) dispatch(c *server.Peer, s *session, cmd string, args []string) {
	s.inside = true
	defer func() { s.inside = false }()
	g.srv.Dispatch(c, append([]string{cmd}, args...))
}

// session finds or makes the session of a connection; nil for a peer inside a
// script.
func (g *guard) session(c *server.Peer) (s *session, refused bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s = g.sessions[c]; s != nil || c.Ctx != nil {
		return s, false
	}
	if len(g.sessions) >= g.cfg.MaxClients {
		return nil, true
	}
	s = &session{}
	g.sessions[c] = s
	c.OnDisconnect(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.sessions, c)
	})
	return s, false
}

// refusal is the error for what a cluster node does not do, "" if it does.
func refusal(cmd string, args []string, oneSlot bool) string {
	switch {
	case !oneSlot:
		return msgCrossSlot
	case cmd == "SELECT" && len(args) == 1 && args[0] != "0":
		return "ERR SELECT is not allowed in cluster mode"
	case cmd == "SWAPDB" || cmd == "MOVE":
		return "ERR " + cmd + " is not allowed in cluster mode"
	case cmd == "COPY" && len(args) > 2 && hasDB(args[2:]):
		return "ERR Copying to another database is not allowed in cluster mode"
	}
	return ""
}

func hasDB(args []string) bool {
	for _, a := range args {
		if a == "DB" || a == "db" {
			return true
		}
	}
	return false
}

// evict deletes the keys used longest ago until the bounds hold.
func (g *guard) evict() {
	for {
		key, over := g.usage.oldest(g.cfg.MaxKeys, g.cfg.MaxBytes)
		if !over {
			return
		}
		g.db.Del(key)
		g.evicted.Add(1)
	}
}

// measure records the sizes of keys that were written, those of scripts among them.
func (g *guard) measure(keys []string, brought int64) {
	g.writes.Add(1)
	g.measuring.Lock()
	defer g.measuring.Unlock()
	for _, list := range [][]string{keys, g.usage.takeDirty()} {
		for _, k := range list {
			bytes, measured := measure(g.db, g.usage, k, brought)
			g.usage.set(k, bytes, measured)
		}
	}
}

// reconcile brings the estimate in step with what expired, was flushed, or was
// written by a command whose keys are not known here.
func (g *guard) reconcile() {
	g.measuring.Lock()
	defer g.measuring.Unlock()
	n, _ := g.usage.size()
	if held, err := g.ask("DBSIZE"); err == nil && held == n {
		return
	}
	keys := g.db.Keys()
	there := make(map[string]struct{}, len(keys))
	for _, k := range keys {
		there[k] = struct{}{}
	}
	for _, k := range g.usage.all() {
		if _, ok := there[k]; !ok {
			g.usage.set(k, -1, 0)
		}
		delete(there, k)
	}
	for k := range there {
		bytes, measured := measure(g.db, g.usage, k, 0)
		g.usage.set(k, bytes, measured)
	}
}

// ask runs a read command inside the process and returns its reply.
func (g *guard) ask(args ...string) (any, error) {
	var out bytes.Buffer
	w := bufio.NewWriter(&out)
	peer := server.NewPeer(w)
	g.mu.Lock()
	g.sessions[peer] = &session{inside: true}
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.sessions, peer)
	}()
	g.srv.Dispatch(peer, args)
	if err := w.Flush(); err != nil {
		return nil, err
	}
	return server.ParseReply(bufio.NewReader(&out))
}
