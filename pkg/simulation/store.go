package simulation

import "eshop/pkg/rediscluster"

// fields are those of a stored document, in the order ParseHash wants.
var fields = rediscluster.HashFields()

// hash is a value in Redis.
type hash [7]string

func (h *hash) set(field, value string) {
	for i, name := range fields {
		if name == field {
			h[i] = value
		}
	}
}

// store is the memory of one Redis node, and what it still has to tell its replica.
type store struct {
	keys   []string
	values []hash
	held   []bool
	log    []change // to the replica, in order
}

// change is one key as it was after a command.
type change struct {
	key   string
	value hash
	held  bool
	acked bool // somebody was told that it is stored
}

func (s *store) at(key string) int {
	for i, k := range s.keys {
		if k == key {
			return i
		}
	}
	s.keys, s.values, s.held = append(s.keys, key), append(s.values, hash{}), append(s.held, false)
	return len(s.keys) - 1
}

func (s *store) field(key, field string) (string, bool) {
	i := s.at(key)
	if !s.held[i] {
		return "", false
	}
	for n, name := range fields {
		if name == field {
			return s.values[i][n], true
		}
	}
	return "", false
}

func (s *store) edit(key string) hash { return s.values[s.at(key)] }

func (s *store) put(key string, h hash) {
	i := s.at(key)
	s.values[i], s.held[i] = h, true
	s.log = append(s.log, change{key: key, value: h, held: true})
}

func (s *store) drop(key string) {
	if i := s.at(key); s.held[i] {
		s.values[i], s.held[i] = hash{}, false
		s.log = append(s.log, change{key: key})
	}
}

// apply does on a replica what its master tells.
func (s *store) apply(c change) {
	i := s.at(c.key)
	s.values[i], s.held[i] = c.value, c.held
}

// read returns what HMGET would, in the form ParseHash wants.
func (s *store) read(key string) []any {
	out := make([]any, len(fields))
	if i := s.at(key); s.held[i] {
		for n := range fields {
			out[n] = s.values[i][n]
		}
	}
	return out
}

func (s *store) clone() *store {
	c := &store{}
	for i, k := range s.keys {
		c.keys, c.values, c.held = append(c.keys, k), append(c.values, s.values[i]), append(c.held, s.held[i])
	}
	return c
}
