package keep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"eshop/pkg/lab/internal/server"
	"eshop/pkg/lab/internal/wire"
)

// startLimit is how long a set of servers may take to become ready: an overloaded machine is slow, not broken.
const startLimit = 120 * time.Second

// serve answers one connection. The group it owns, if any, ends with it.
func (k *keeper) serve(c net.Conn) {
	var own *server.Group
	defer func() {
		if own != nil {
			own.Close()
		}
		k.leave(c)
	}()
	requests := json.NewDecoder(c)
	answers := json.NewEncoder(c)
	for {
		var r wire.Request
		if err := requests.Decode(&r); err != nil {
			return
		}
		var answer wire.Response
		var err error
		switch r.Op {
		case wire.Hello:
			answer = wire.Response{Version: wire.Version, Pid: os.Getpid()}
		case wire.Shared:
			answer, err = k.sharedGroup(r.Kind)
		case wire.New, wire.Run:
			if own != nil {
				err = errors.New("this connection owns a group already")
				break
			}
			if own, err = k.newGroup(r); err == nil {
				answer.Nodes = own.Nodes()
			}
		case wire.Close:
			if own != nil {
				own.Close()
				own = nil
			}
		case wire.Quit:
			k.quit()
			return
		default:
			answer, err = k.operate(own, r)
		}
		if err != nil {
			answer.Error = err.Error()
		}
		if err := answers.Encode(answer); err != nil {
			return
		}
	}
}

func (k *keeper) newGroup(r wire.Request) (*server.Group, error) {
	if r.Op == wire.Run {
		if r.Command == nil {
			return nil, errors.New("there is no command to run")
		}
		return server.StartCommand(k.spawner, k.root, *r.Command)
	}
	ctx, cancel := context.WithTimeout(k.ctx, startLimit)
	defer cancel()
	return server.StartCluster(ctx, k.spawner, k.root, r.Kind, r.Announce)
}

// sharedGroup starts the shared servers for the first who asks; a shared server that has ended by itself is an error for
// everybody from then on, so that it is found and not papered over.
func (k *keeper) sharedGroup(kind string) (wire.Response, error) {
	k.mu.Lock()
	s, ok := k.shared[kind]
	if !ok {
		s = &shared{}
		k.shared[kind] = s
	}
	k.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.group == nil {
		ctx, cancel := context.WithTimeout(k.ctx, startLimit)
		defer cancel()
		g, err := server.StartCluster(ctx, k.spawner, k.root, kind, nil)
		if err != nil {
			return wire.Response{}, err
		}
		s.group = g
	}
	if dead := s.group.Dead(); dead != "" {
		return wire.Response{}, fmt.Errorf("the shared %s is broken: %s", kind, dead)
	}
	return wire.Response{Nodes: s.group.Nodes()}, nil
}

func (k *keeper) operate(own *server.Group, r wire.Request) (wire.Response, error) {
	if own == nil {
		return wire.Response{}, fmt.Errorf("%q needs a group of this connection", r.Op)
	}
	var answer wire.Response
	var err error
	switch r.Op {
	case wire.Signal:
		err = own.Signal(r.Node, r.Signal)
	case wire.Restart:
		ctx, cancel := context.WithTimeout(k.ctx, startLimit)
		defer cancel()
		err = own.Restart(ctx, r.Node)
	case wire.Announce:
		ctx, cancel := context.WithTimeout(k.ctx, startLimit)
		defer cancel()
		err = own.Announce(ctx, r.Announce)
	case wire.Wait:
		answer.Code, answer.Exited, err = own.Wait(r.Node, min(r.Timeout, time.Second))
	default:
		err = fmt.Errorf("there is no operation %q", r.Op)
	}
	answer.Nodes = own.Nodes()
	return answer, err
}
