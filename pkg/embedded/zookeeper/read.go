package zookeeper

import "strings"

// read carries out a request that changes nothing. The answer's body is written at once by the caller, under the same lock.
func (s *Server) read(c *conn, op int32, d *decoder) (func(*encoder), errorCode) {
	switch op {
	case opPing:
		return nil, codeOK
	case opSync:
		path := d.string()
		return func(e *encoder) { e.string(path) }, codeOK
	case opExists:
		return s.exists(c, d.pathWatch(), d)
	case opGetData, opGetChildren, opGetChildren2:
		return s.get(c, op, d.pathWatch(), d)
	case opGetACL:
		return s.getACL(c, d.string())
	case opSetWatches:
		r := d.setWatchesRequest()
		if d.err == nil && !s.rearm(c, r) {
			return nil, codeQuotaExceeded
		}
		return nil, codeOK
	case opGetEphemerals:
		return s.getEphemerals(c, d.string())
	case opGetAllChildrenNumber:
		return s.getAllChildrenNumber(c, d.string())
	case opWhoAmI:
		return func(e *encoder) {
			e.int32(int32(len(c.who)))
			for _, w := range c.who {
				id, _, _ := strings.Cut(w.id, ":") // the user's name without the digest
				e.string(w.scheme)
				e.string(id)
			}
		}, codeOK
	}
	return nil, codeUnimplemented
}

// exists arms its watch on a missing node too: it waits for the creation.
func (s *Server) exists(c *conn, r pathWatch, d *decoder) (func(*encoder), errorCode) {
	if d.err != nil {
		return nil, codeMarshalling
	}
	if strings.Contains(r.path, "\x00") {
		return nil, codeBadArguments
	}
	if r.watch && !s.watches.arm(c, dataWatch, r.path, s.cfg.MaxWatches) {
		return nil, codeQuotaExceeded
	}
	n := s.tree.find(r.path)
	if n == nil {
		return nil, codeNoNode
	}
	return func(e *encoder) { e.stat(n.stat()) }, codeOK
}

// get is getData, getChildren and getChildren2; their watches are armed only on a node that is there.
func (s *Server) get(c *conn, op int32, r pathWatch, d *decoder) (func(*encoder), errorCode) {
	if d.err != nil {
		return nil, codeMarshalling
	}
	n := s.tree.find(r.path)
	if n == nil {
		return nil, codeNoNode
	}
	if !allowed(n.acl, c.who, permRead) {
		return nil, codeNoAuth
	}
	kind := childWatch
	if op == opGetData {
		kind = dataWatch
	}
	if r.watch && !s.watches.arm(c, kind, r.path, s.cfg.MaxWatches) {
		return nil, codeQuotaExceeded
	}
	return func(e *encoder) {
		if op == opGetData {
			e.buffer(n.data)
			e.stat(n.stat())
			return
		}
		e.int32(int32(len(n.children)))
		for name := range n.children {
			e.string(name)
		}
		if op == opGetChildren2 {
			e.stat(n.stat())
		}
	}, codeOK
}

// getACL hides the password part of digests from those who may only read.
func (s *Server) getACL(c *conn, path string) (func(*encoder), errorCode) {
	n := s.tree.find(path)
	if n == nil {
		return nil, codeNoNode
	}
	if !allowed(n.acl, c.who, permRead|permAdmin) {
		return nil, codeNoAuth
	}
	list := n.acl
	if !allowed(list, c.who, permAdmin) {
		list = append([]acl(nil), list...)
		for i, a := range list {
			if user, _, ok := strings.Cut(a.id, ":"); ok && a.scheme == "digest" {
				list[i].id = user + ":x"
			}
		}
	}
	return func(e *encoder) {
		e.acls(list)
		e.stat(n.stat())
	}, codeOK
}

// getEphemerals lists the session's own ephemeral nodes under a path prefix.
func (s *Server) getEphemerals(c *conn, prefix string) (func(*encoder), errorCode) {
	var paths []string
	for path := range s.tree.ephemerals[c.sess.id] {
		if strings.HasPrefix(path, prefix) {
			paths = append(paths, path)
		}
	}
	return func(e *encoder) {
		e.int32(int32(len(paths)))
		for _, path := range paths {
			e.string(path)
		}
	}, codeOK
}

// getAllChildrenNumber counts all nodes below a path, at any depth.
func (s *Server) getAllChildrenNumber(c *conn, path string) (func(*encoder), errorCode) {
	n := s.tree.find(path)
	if n == nil {
		return nil, codeNoNode
	}
	if !allowed(n.acl, c.who, permRead) {
		return nil, codeNoAuth
	}
	prefix := strings.TrimSuffix(n.path, "/") + "/"
	total := int32(0)
	for p := range s.tree.nodes {
		if p != "/" && strings.HasPrefix(p, prefix) {
			total++
		}
	}
	return func(e *encoder) { e.int32(total) }, codeOK
}
