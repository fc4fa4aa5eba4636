package zookeeper

import (
	"crypto/sha1"
	"encoding/base64"
	"net/netip"
	"strings"
)

// Permission bits.
const (
	permRead   int32 = 1
	permWrite  int32 = 2
	permCreate int32 = 4
	permDelete int32 = 8
	permAdmin  int32 = 16
	permAll    int32 = 31
)

// acl grants perms to one identity.
type acl struct {
	perms      int32
	scheme, id string
}

// identity is what a connection has proved: its address, and each digest it has sent.
type identity struct{ scheme, id string }

func openACL() []acl { return []acl{{perms: permAll, scheme: "world", id: "anyone"}} }

// digestIdentity turns "user:password" into the form stored in ACLs.
func digestIdentity(credentials []byte) identity {
	user, _, _ := strings.Cut(string(credentials), ":")
	sum := sha1.Sum(credentials)
	return identity{scheme: "digest", id: user + ":" + base64.StdEncoding.EncodeToString(sum[:])}
}

// allowed tells whether one of the identities has all of the wanted permission under the list. An empty list is open.
func allowed(list []acl, who []identity, want int32) bool {
	if len(list) == 0 {
		return true
	}
	for _, a := range list {
		if a.perms&want == 0 {
			continue
		}
		if a.scheme == "world" && a.id == "anyone" {
			return true
		}
		for _, w := range who {
			if w.scheme == a.scheme && matches(w, a) {
				return true
			}
		}
	}
	return false
}

func matches(w identity, a acl) bool {
	if a.scheme != "ip" {
		return w.id == a.id
	}
	addr, err := netip.ParseAddr(w.id)
	if err != nil {
		return false
	}
	prefix, ok := ipRange(a.id)
	return ok && prefix.Contains(addr.Unmap())
}

// ipRange reads "address" or "address/bits".
func ipRange(id string) (netip.Prefix, bool) {
	if !strings.Contains(id, "/") {
		addr, err := netip.ParseAddr(id)
		if err != nil {
			return netip.Prefix{}, false
		}
		return netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), true
	}
	prefix, err := netip.ParsePrefix(id)
	return prefix, err == nil
}

// settleACL checks a list sent by a client and replaces "auth" by the identities the client has proved. The answer shares nothing
// with the request.
func settleACL(list []acl, who []identity) ([]acl, errorCode) {
	if len(list) == 0 {
		return nil, codeInvalidACL
	}
	var settled []acl
	seen := map[acl]bool{}
	add := func(a acl) {
		if !seen[a] {
			seen[a] = true
			settled = append(settled, a)
		}
	}
	for _, a := range list {
		switch a.scheme {
		case "world":
			if a.id != "anyone" {
				return nil, codeInvalidACL
			}
			add(a)
		case "auth":
			proved := false
			for _, w := range who {
				if w.scheme == "digest" {
					proved = true
					add(acl{perms: a.perms, scheme: w.scheme, id: w.id})
				}
			}
			if !proved {
				return nil, codeInvalidACL
			}
		case "digest":
			if strings.Count(a.id, ":") != 1 {
				return nil, codeInvalidACL
			}
			add(a)
		case "ip":
			if _, ok := ipRange(a.id); !ok {
				return nil, codeInvalidACL
			}
			add(a)
		default:
			return nil, codeInvalidACL
		}
	}
	return settled, codeOK
}
