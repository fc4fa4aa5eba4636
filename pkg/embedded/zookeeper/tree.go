package zookeeper

import "bytes"

// stat is the wire form of a node's metadata: zxids, milliseconds since 1970, change counts.
type stat struct {
	czxid, mzxid, pzxid         int64
	ctime, mtime                int64
	version, cversion, aversion int32
	ephemeralOwner              int64
	dataLength, numChildren     int32
}

// node is one entry of the tree. data and acl are never changed in place, only replaced, so a snapshot may hold on to them.
type node struct {
	path     string
	data     []byte
	acl      []acl
	children map[string]struct{} // names; nil until the first child

	czxid, mzxid, pzxid int64
	ctime, mtime        int64
	version, aversion   int32
	creates             int32 // children ever created: the parent's sequence, and half of cversion
	owner               int64 // session of an ephemeral node, containerOwner, or 0
}

// stat gives cversion as the number of child creations and deletions, computed as the real server does: 2 × creations − living children.
// A container shows no owner.
func (n *node) stat() stat {
	owner := n.owner
	if owner == containerOwner {
		owner = 0
	}
	return stat{
		czxid: n.czxid, mzxid: n.mzxid, pzxid: n.pzxid, ctime: n.ctime, mtime: n.mtime,
		version: n.version, cversion: 2*n.creates - int32(len(n.children)), aversion: n.aversion,
		ephemeralOwner: owner, dataLength: int32(len(n.data)), numChildren: int32(len(n.children)),
	}
}

func (n *node) ephemeral() bool { return n.owner != 0 && n.owner != containerOwner }

func (n *node) cost() int64 { return int64(len(n.path)) + int64(len(n.data)) + nodeOverhead }

// tree is the set of nodes with its bounds. It knows nothing of sessions, watches or locks: the server holds its lock around each call.
type tree struct {
	nodes      map[string]*node
	ephemerals map[int64]map[string]struct{} // session → paths
	containers map[string]struct{}
	bytes      int64
	maxNodes   int
	maxBytes   int64
}

func newTree(maxNodes int, maxBytes int64) *tree {
	t := &tree{
		nodes:      map[string]*node{},
		ephemerals: map[int64]map[string]struct{}{},
		containers: map[string]struct{}{},
		maxNodes:   maxNodes,
		maxBytes:   maxBytes,
	}
	for _, path := range []string{"/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"} {
		t.insert(&node{path: path, data: []byte{}, acl: openACL()})
	}
	t.nodes["/zookeeper/config"].acl = []acl{{perms: permRead, scheme: "world", id: "anyone"}}
	return t
}

// find takes "" for the root too, as the real server does.
func (t *tree) find(path string) *node {
	if path == "" {
		path = "/"
	}
	return t.nodes[path]
}

// insert adds the node and its name in its parent, which exists unless the node is the root. No counter of the parent changes.
func (t *tree) insert(n *node) {
	t.nodes[n.path] = n
	t.bytes += n.cost()
	if n.ephemeral() {
		set := t.ephemerals[n.owner]
		if set == nil {
			set = map[string]struct{}{}
			t.ephemerals[n.owner] = set
		}
		set[n.path] = struct{}{}
	}
	if n.owner == containerOwner {
		t.containers[n.path] = struct{}{}
	}
	if n.path == "/" {
		return
	}
	parentPath, name := parentOf(n.path)
	parent := t.nodes[parentPath]
	if parent.children == nil {
		parent.children = map[string]struct{}{}
	}
	parent.children[name] = struct{}{}
}

// remove undoes insert.
func (t *tree) remove(n *node) {
	delete(t.nodes, n.path)
	t.bytes -= n.cost()
	if n.ephemeral() {
		set := t.ephemerals[n.owner]
		delete(set, n.path)
		if len(set) == 0 {
			delete(t.ephemerals, n.owner)
		}
	}
	delete(t.containers, n.path)
	parentPath, name := parentOf(n.path)
	parent := t.nodes[parentPath]
	delete(parent.children, name)
	if len(parent.children) == 0 {
		parent.children = nil // a stripe that was busy once must not keep its map
	}
}

// replaceData swaps the bytes of a node and keeps the account.
func (t *tree) replaceData(n *node, data []byte) {
	t.bytes += int64(len(data)) - int64(len(n.data))
	n.data = data
}

// fits tells whether the tree may grow by this many nodes and bytes.
func (t *tree) fits(nodes int, bytes int64) bool {
	return len(t.nodes)+nodes <= t.maxNodes && (bytes <= 0 || t.bytes+bytes <= t.maxBytes)
}

// keep copies request data out of its frame; nil stays nil, which clients can tell from empty.
func keep(data []byte) []byte { return bytes.Clone(data) }
