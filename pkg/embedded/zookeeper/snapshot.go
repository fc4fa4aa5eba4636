package zookeeper

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// snapshotMagic starts a snapshot file; its last character is the format. After it: zxid, the sessions (id, timeout in milliseconds,
// password), the nodes with parents before children, and a CRC-32C of everything before it. Values are jute.
const snapshotMagic = "eshopzk1"

// image is a consistent view of the server. It is taken under the lock, cheaply: data and ACLs are never changed in place.
type image struct {
	zxid     int64
	sessions []savedSession
	nodes    []node
}

type savedSession struct {
	id       int64
	timeout  time.Duration
	password []byte
}

func (s *Server) image() image {
	s.mu.Lock()
	defer s.mu.Unlock()
	im := image{zxid: s.zxid, sessions: make([]savedSession, 0, len(s.sessions)), nodes: make([]node, 0, len(s.tree.nodes))}
	for _, sess := range s.sessions {
		im.sessions = append(im.sessions, savedSession{sess.id, sess.timeout, sess.password})
	}
	for _, n := range s.tree.nodes {
		copied := *n
		copied.children = nil
		im.nodes = append(im.nodes, copied)
	}
	return im
}

func (im image) encode() []byte {
	slices.SortFunc(im.nodes, func(a, b node) int { return strings.Compare(a.path, b.path) }) // a parent sorts before its children
	e := &encoder{b: []byte(snapshotMagic)}
	e.int64(im.zxid)
	e.int32(int32(len(im.sessions)))
	for _, sess := range im.sessions {
		e.int64(sess.id)
		e.int64(sess.timeout.Milliseconds())
		e.buffer(sess.password)
	}
	e.int32(int32(len(im.nodes)))
	for _, n := range im.nodes {
		e.string(n.path)
		e.buffer(n.data)
		e.acls(n.acl)
		for _, v := range []int64{n.czxid, n.mzxid, n.pzxid, n.ctime, n.mtime, n.owner} {
			e.int64(v)
		}
		for _, v := range []int32{n.version, n.aversion, n.creates} {
			e.int32(v)
		}
	}
	return binary.BigEndian.AppendUint32(e.b, checksum(e.b))
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// decodeImage checks everything a later step relies on: the checksum, a root, parents before children, owners that are sessions.
func decodeImage(b []byte) (image, error) {
	var im image
	if len(b) < len(snapshotMagic)+4 || string(b[:len(snapshotMagic)]) != snapshotMagic {
		return im, errors.New("the file is no snapshot of this version")
	}
	content, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if checksum(content) != sum {
		return im, errors.New("the checksum does not match")
	}
	d := &decoder{rest: content[len(snapshotMagic):]}
	im.zxid = d.int64()
	owners := map[int64]bool{0: true, containerOwner: true}
	for range d.count(20) {
		sess := savedSession{id: d.int64(), timeout: time.Duration(d.int64()) * time.Millisecond, password: keep(d.buffer())}
		im.sessions = append(im.sessions, sess)
		owners[sess.id] = true
	}
	seen := map[string]bool{}
	for range d.count(72) {
		n := node{path: d.string(), data: keep(d.buffer()), acl: d.acls()}
		for _, v := range []*int64{&n.czxid, &n.mzxid, &n.pzxid, &n.ctime, &n.mtime, &n.owner} {
			*v = d.int64()
		}
		for _, v := range []*int32{&n.version, &n.aversion, &n.creates} {
			*v = d.int32()
		}
		parent, _ := parentOf(n.path)
		if d.err == nil && (!validPath(n.path) || seen[n.path] || n.path != "/" && !seen[parent] || !owners[n.owner]) {
			return im, fmt.Errorf("node %q does not fit the tree", n.path)
		}
		seen[n.path] = true
		im.nodes = append(im.nodes, n)
	}
	if d.err != nil || len(d.rest) > 0 || !seen["/"] {
		return im, errMalformed
	}
	return im, nil
}

// load restores the last snapshot, if there is one. Each session gets its full timeout from now on.
func (s *Server) load() error {
	path := filepath.Join(s.store.dir, snapshotName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the snapshot: %w", err)
	}
	im, err := decodeImage(b)
	if err != nil {
		return fmt.Errorf("read the snapshot %s (remove it to start with an empty tree): %w", path, err)
	}
	t := &tree{
		nodes: map[string]*node{}, ephemerals: map[int64]map[string]struct{}{}, containers: map[string]struct{}{},
		maxNodes: s.cfg.MaxNodes, maxBytes: s.cfg.MaxBytes,
	}
	for i := range im.nodes {
		t.insert(&im.nodes[i])
	}
	for _, r := range im.sessions {
		s.sessions[r.id] = &session{id: r.id, password: r.password, timeout: r.timeout}
	}
	s.tree, s.zxid, s.saved = t, im.zxid, im.zxid
	return nil
}

// save writes a snapshot if there was a transaction since the last one.
func (s *Server) save() error {
	s.mu.Lock()
	unchanged := s.zxid == s.saved
	s.mu.Unlock()
	if unchanged {
		return nil
	}
	im := s.image()
	if err := s.store.replace(snapshotName, im.encode()); err != nil {
		return fmt.Errorf("write the snapshot: %w", err)
	}
	s.saved = im.zxid
	return nil
}

func (s *Server) saveFromTimeToTime() {
	ticker := time.NewTicker(s.cfg.SnapshotInterval)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
			if err := s.save(); err != nil {
				s.log.Error("the snapshot was not written and is tried again", "error", err)
			}
		}
	}
}
