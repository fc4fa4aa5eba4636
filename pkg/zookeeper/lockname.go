package zookeeper

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// stripes is the number of nodes that lock nodes are spread over. Every
// process of a fleet must agree on it.
const stripes = 256

const guidLength = 32 // hexadecimal digits

// stripe returns the node, relative to the root, under which a lock's nodes are.
func stripe(name string) string {
	h := fnv.New32a()
	h.Write([]byte(name))
	return fmt.Sprintf("locks/%d", h.Sum32()%stripes)
}

func newGUID() string {
	var raw [guidLength / 2]byte
	rand.Read(raw[:]) // never fails
	return hex.EncodeToString(raw[:])
}

// place is one node in the queue of a lock: "<name>-<guid>-<sequence>", the
// name escaped for a path.
type place struct {
	node     string // last element of the path
	name     string // escaped
	guid     string
	sequence int32
}

func escapeName(name string) string { return url.PathEscape(name) }

func placePrefix(name, guid string) string { return escapeName(name) + "-" + guid + "-" }

// parsePlace reads a lock node's name; false for a node that is none. The
// sequence is ten digits, or, past 2^31, a minus and ten digits.
func parsePlace(node string) (place, bool) {
	dash := strings.LastIndexByte(node, '-')
	if dash > 0 && node[dash-1] == '-' {
		dash--
	}
	if dash < guidLength+1 || node[dash-guidLength-1] != '-' {
		return place{}, false
	}
	sequence, err := strconv.ParseInt(node[dash+1:], 10, 32)
	if err != nil {
		return place{}, false
	}
	guid := node[dash-guidLength : dash]
	if _, err := hex.DecodeString(guid); err != nil {
		return place{}, false
	}
	return place{node: node, name: node[:dash-guidLength-1], guid: guid, sequence: int32(sequence)}, true
}

// before orders places of one stripe. Sequences are compared by their
// difference, so the order survives the counter's overflow.
func (p place) before(q place) bool { return p.sequence-q.sequence < 0 }

// predecessor returns the last place of the lock before own, and whether there
// is one; listed is false when own is not among the children.
func predecessor(children []string, own place) (previous place, exists, listed bool) {
	for _, child := range children {
		p, ok := parsePlace(child)
		switch {
		case !ok || p.name != own.name:
		case p.node == own.node:
			listed = true
		case p.before(own) && (!exists || previous.before(p)):
			previous, exists = p, true
		}
	}
	return previous, exists, listed
}

// LockNode returns the name of a place in the queue of a lock, as the servers
// make it of what Enqueue asks for.
func LockNode(name, guid string, sequence int32) string {
	return fmt.Sprintf("%s%010d", placePrefix(name, guid), sequence)
}

// Predecessor returns which of a stripe's nodes the place own waits for; exists is
// false when it holds the lock, listed is false when it has lost its place.
func Predecessor(children []string, own string) (previous string, exists, listed bool) {
	p, ok := parsePlace(own)
	if !ok {
		return "", false, false
	}
	before, exists, listed := predecessor(children, p)
	return before.node, exists, listed
}

// withGUID returns the nodes that carry the GUID, in order.
func withGUID(children []string, guid string) []place {
	var found []place
	for _, child := range children {
		if p, ok := parsePlace(child); ok && p.guid == guid {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b place) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	return found
}
