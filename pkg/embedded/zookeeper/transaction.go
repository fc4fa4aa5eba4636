package zookeeper

import (
	"fmt"
	"strings"
)

// transaction is one write with its zxid. Each operation changes the tree at once and leaves behind how to undo it, so that a multi
// can be rolled back; watch events are collected and fired only when all of it stands.
type transaction struct {
	tree    *tree
	zxid    int64
	now     int64 // milliseconds since 1970
	session int64
	who     []identity
	undo    []func()
	events  []event
}

// rollback takes back every operation, newest first.
func (x *transaction) rollback() {
	for i := len(x.undo) - 1; i >= 0; i-- {
		x.undo[i]()
	}
	x.undo, x.events = nil, nil
}

// create adds a node. op tells the variants apart; the path given back has the sequence number in it.
func (x *transaction) create(op int32, r createRequest) (*node, errorCode) {
	ephemeral, sequential := false, false
	switch r.flags {
	case 0, flagContainer:
	case flagEphemeral:
		ephemeral = true
	case flagSequential:
		sequential = true
	case flagEphemeralSequential:
		ephemeral, sequential = true, true
	case flagTTL, flagPersistentSequential:
		return nil, codeUnimplemented
	default:
		return nil, codeBadArguments
	}
	if !strings.Contains(r.path, "/") || strings.Contains(r.path, "\x00") {
		return nil, codeBadArguments
	}
	list, code := settleACL(r.acl, x.who)
	if code != codeOK {
		return nil, code
	}
	parentPath, _ := parentOf(r.path)
	parent := x.tree.find(parentPath)
	if parent == nil {
		return nil, codeNoNode
	}
	if !allowed(parent.acl, x.who, permCreate) {
		return nil, codeNoAuth
	}
	path := r.path
	if sequential {
		path += fmt.Sprintf("%010d", parent.creates)
	}
	if !validPath(path) {
		return nil, codeBadArguments
	}
	if x.tree.find(path) != nil {
		return nil, codeNodeExists
	}
	if parent.ephemeral() {
		return nil, codeNoChildrenForEphemerals
	}
	n := &node{
		path: path, data: keep(r.data), acl: list,
		czxid: x.zxid, mzxid: x.zxid, pzxid: x.zxid, ctime: x.now, mtime: x.now,
	}
	switch {
	case ephemeral:
		n.owner = x.session
	case op == opCreateContainer:
		n.owner = containerOwner
	}
	if !x.tree.fits(1, n.cost()) {
		return nil, codeQuotaExceeded
	}
	creates, pzxid := parent.creates, parent.pzxid
	parent.creates++
	parent.pzxid = x.zxid
	x.tree.insert(n)
	x.undo = append(x.undo, func() {
		x.tree.remove(n)
		parent.creates, parent.pzxid = creates, pzxid
	})
	x.events = append(x.events, event{eventCreated, path}, event{eventChildrenChanged, parent.path})
	return n, codeOK
}

func (x *transaction) delete(r pathVersion) errorCode {
	if !strings.Contains(r.path, "/") || strings.Contains(r.path, "\x00") || reservedPath(r.path) {
		return codeBadArguments
	}
	parentPath, _ := parentOf(r.path)
	parent := x.tree.find(parentPath)
	if parent == nil {
		return codeNoNode
	}
	if !allowed(parent.acl, x.who, permDelete) {
		return codeNoAuth
	}
	n := x.tree.find(r.path)
	switch {
	case n == nil:
		return codeNoNode
	case r.version != -1 && r.version != n.version:
		return codeBadVersion
	case len(n.children) > 0:
		return codeNotEmpty
	}
	x.drop(n, parent)
	return codeOK
}

// drop removes a node without children; the checks are the caller's.
func (x *transaction) drop(n, parent *node) {
	pzxid := parent.pzxid
	parent.pzxid = x.zxid
	x.tree.remove(n)
	x.undo = append(x.undo, func() {
		x.tree.insert(n)
		parent.pzxid = pzxid
	})
	x.events = append(x.events, event{eventDeleted, n.path}, event{eventChildrenChanged, parent.path})
}

func (x *transaction) setData(r setDataRequest) (*node, errorCode) {
	if !validPath(r.path) {
		return nil, codeBadArguments
	}
	n := x.tree.find(r.path)
	switch {
	case n == nil:
		return nil, codeNoNode
	case !allowed(n.acl, x.who, permWrite):
		return nil, codeNoAuth
	case r.version != -1 && r.version != n.version:
		return nil, codeBadVersion
	case !x.tree.fits(0, int64(len(r.data))-int64(len(n.data))):
		return nil, codeQuotaExceeded
	}
	data, version, mzxid, mtime := n.data, n.version, n.mzxid, n.mtime
	x.tree.replaceData(n, keep(r.data))
	n.version, n.mzxid, n.mtime = nextVersion(version), x.zxid, x.now
	x.undo = append(x.undo, func() {
		x.tree.replaceData(n, data)
		n.version, n.mzxid, n.mtime = version, mzxid, mtime
	})
	x.events = append(x.events, event{eventDataChanged, n.path})
	return n, codeOK
}

func (x *transaction) setACL(r setACLRequest) (*node, errorCode) {
	if !validPath(r.path) {
		return nil, codeBadArguments
	}
	list, code := settleACL(r.acl, x.who)
	if code != codeOK {
		return nil, code
	}
	n := x.tree.find(r.path)
	switch {
	case n == nil:
		return nil, codeNoNode
	case !allowed(n.acl, x.who, permAdmin):
		return nil, codeNoAuth
	case r.version != -1 && r.version != n.aversion:
		return nil, codeBadVersion
	}
	n.acl, n.aversion = list, nextVersion(n.aversion)
	return n, codeOK
}

func (x *transaction) check(r pathVersion) errorCode {
	if !validPath(r.path) {
		return codeBadArguments
	}
	n := x.tree.find(r.path)
	switch {
	case n == nil:
		return codeNoNode
	case !allowed(n.acl, x.who, permRead):
		return codeNoAuth
	case r.version != -1 && r.version != n.version:
		return codeBadVersion
	}
	return codeOK
}

// endSession removes the ephemeral nodes of a session.
func (x *transaction) endSession(session int64) {
	for path := range x.tree.ephemerals[session] {
		n := x.tree.nodes[path]
		parentPath, _ := parentOf(path)
		x.drop(n, x.tree.nodes[parentPath])
	}
}

// nextVersion skips -1 after an overflow: it means "any version" in requests.
func nextVersion(v int32) int32 {
	if v+1 == -1 {
		return 0
	}
	return v + 1
}
