package simulation

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"eshop/pkg/rediscluster"
)

// script runs the text of compare-and-set.lua, as Redis would, against a store.
type script struct {
	state *lua.LState
	body  *lua.LFunction
	keys  *lua.LTable
	argv  *lua.LTable
	on    *store // the store of the call under way
}

func newScript() (*script, error) {
	s := &script{state: lua.NewState(lua.Options{SkipOpenLibs: true})}
	for _, open := range []lua.LGFunction{lua.OpenBase, lua.OpenString, lua.OpenTable} {
		open(s.state)
		s.state.SetTop(0)
	}
	redis := s.state.NewTable()
	s.keys, s.argv = s.state.NewTable(), s.state.NewTable()
	command := s.state.NewFunction(s.command)
	redis.RawSetString("call", command)
	redis.RawSetString("pcall", command)
	s.state.SetGlobal("redis", redis)
	s.state.SetGlobal("KEYS", s.keys)
	s.state.SetGlobal("ARGV", s.argv)
	var err error
	if s.body, err = s.state.LoadString(rediscluster.Script()); err != nil {
		return nil, fmt.Errorf("read the compare-and-set script: %w", err)
	}
	return s, nil
}

func (s *script) close() { s.state.Close() }

// run calls the script for one key and returns its answer.
func (s *script) run(on *store, key string, args []any) ([]string, error) {
	s.on = on
	s.keys.RawSetInt(1, lua.LString(key))
	for i, a := range args {
		switch v := a.(type) {
		case string:
			s.argv.RawSetInt(i+1, lua.LString(v))
		case []byte:
			s.argv.RawSetInt(i+1, lua.LString(v))
		}
	}
	s.state.Push(s.body)
	if err := s.state.PCall(0, 1, nil); err != nil {
		return nil, fmt.Errorf("run the compare-and-set script: %w", err)
	}
	table, ok := s.state.Get(-1).(*lua.LTable)
	s.state.SetTop(0)
	if !ok {
		return nil, fmt.Errorf("the compare-and-set script answered no table")
	}
	answer := make([]string, table.Len())
	for i := range answer {
		answer[i] = table.RawGetInt(i + 1).String()
	}
	return answer, nil
}

// command is what the script may ask of Redis.
func (s *script) command(l *lua.LState) int {
	key := l.CheckString(2)
	switch name := l.CheckString(1); name {
	case "HMGET":
		out := l.NewTable()
		for i := 3; i <= l.GetTop(); i++ {
			if v, ok := s.on.field(key, l.CheckString(i)); ok {
				out.RawSetInt(i-2, lua.LString(v))
			} else {
				out.RawSetInt(i-2, lua.LFalse) // Redis's nil
			}
		}
		l.Push(out)
	case "HGET":
		if v, ok := s.on.field(key, l.CheckString(3)); ok {
			l.Push(lua.LString(v))
		} else {
			l.Push(lua.LFalse)
		}
	case "DEL":
		s.on.drop(key)
		l.Push(lua.LNumber(0))
	case "HSET":
		h := s.on.edit(key)
		for i := 3; i < l.GetTop(); i += 2 {
			h.set(l.CheckString(i), l.CheckString(i+1))
		}
		s.on.put(key, h)
		l.Push(lua.LNumber(0))
	case "PEXPIRE": // nothing lives long enough here
		l.Push(lua.LNumber(1))
	default:
		l.RaiseError("the simulated Redis has no command %s", name)
	}
	return 1
}
