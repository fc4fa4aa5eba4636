package zookeeper_test

import (
	"crypto/sha1"
	"encoding/base64"
)

func scenarioWatch(tr *transcript) {
	a, b := tr.actor("a"), tr.actor("b")
	at := func(p string) string { return tr.root + p }
	a.do(create, "root", at(""), []byte{}, open, 0)
	a.do(exists, "arm exists on a missing node", at("/x"), true)
	a.do(getData, "get on a missing node arms nothing", at("/y"), true)
	a.do(getChildren, "children of a missing node arm nothing", at("/z"), true)
	for _, p := range []string{"/y", "/z", "/x"} {
		b.do(create, p, at(p), []byte{}, open, 0)
	}
	a.hear() // of /x only
	a.do(getChildren2, "arm root", at(""), true)
	a.do(getChildren, "arm root again", at(""), true)
	a.do(getData, "arm data", at("/x"), true)
	a.do(exists, "arm data again", at("/x"), true)
	b.do(setData, "x", at("/x"), []byte("1"), -1)
	a.hear()
	b.do(setData, "x, watch used up", at("/x"), []byte("2"), -1)
	b.do(setACL, "acl wakes nobody", at("/x"), open, -1)
	b.do(create, "grandchild wakes nobody at the root", at("/x/x"), []byte{}, open, 0)
	b.do(create, "child", at("/w"), []byte{}, open, 0)
	a.hear()
	a.do(getData, "arm data of y", at("/y"), true)
	a.do(getChildren, "arm children of y", at("/y"), true)
	a.do(getChildren, "arm root", at(""), true)
	b.do(remove, "y: data and child watch give one event", at("/y"), -1)
	a.hear()
	a.hear()
	a.do(getChildren, "arm children of z", at("/z"), true)
	b.do(remove, "z: child watch hears of the deletion", at("/z"), -1)
	a.hear()
	a.do(exists, "arm gone", at("/z"), true)
	a.do(create, "own change: event before the answer", at("/z"), []byte{}, open, 0)
	a.do(getData, "arm", at("/z"), true)
	a.do(setData, "own set", at("/z"), []byte{}, -1)
	a.do(getData, "arm", at("/z"), true)
	a.do(multi, "events of a multi", setData, false, -1, at("/z"), []byte{}, -1, remove, false, -1, at("/z"), -1, -1, true, -1)
	a.do(exists, "arm", at("/x"), true)
	a.do(multi, "a failed multi wakes nobody", setData, false, -1, at("/x"), []byte{}, -1, remove, false, -1, at("/z"), -1, -1, true, -1)
	a.do(create, "own ephemeral", at("/e"), []byte{}, open, 1)
	a.do(exists, "watched", at("/e"), true)
	a.do(closeSession, "close: the event of an own ephemeral comes first")
}

func scenarioSetWatches(tr *transcript) {
	a, b := tr.actor("a"), tr.actor("b")
	at := func(p string) string { return tr.root + p }
	a.do(create, "root", at(""), []byte{}, open, 0)
	for _, p := range []string{"/same", "/changed", "/deleted", "/parent", "/quiet"} {
		a.do(create, p, at(p), []byte{}, open, 0)
	}
	seen := a.do(exists, "seen up to here", at("/quiet"), false).zxid
	b.do(setData, "changed", at("/changed"), []byte("1"), -1)
	b.do(remove, "deleted", at("/deleted"), -1)
	b.do(create, "child", at("/parent/x"), []byte{}, open, 0)
	b.do(create, "created", at("/created"), []byte{}, open, 0)
	a.do(setWatches, "data, changed", seen, []string{at("/changed")}, []string{}, []string{})
	a.do(setWatches, "data, deleted", seen, []string{at("/deleted")}, []string{}, []string{})
	a.do(setWatches, "exist, created", seen, []string{}, []string{at("/created")}, []string{})
	a.do(setWatches, "exist, still missing", seen, []string{}, []string{at("/missing")}, []string{})
	a.do(setWatches, "child, changed", seen, []string{}, []string{}, []string{at("/parent")})
	a.do(setWatches, "child, deleted", seen, []string{}, []string{}, []string{at("/deleted")})
	a.do(setWatches, "unchanged", seen, []string{at("/same")}, []string{}, []string{at("/quiet")})
	b.do(setData, "same", at("/same"), []byte("1"), -1)
	a.hear()
	b.do(create, "quiet", at("/quiet/x"), []byte{}, open, 0)
	a.hear()
	b.do(create, "missing", at("/missing"), []byte{}, open, 0)
	a.hear()
}

func scenarioMulti(tr *transcript) {
	a := tr.actor("a")
	at := func(p string) string { return tr.root + p }
	a.do(create, "root", at(""), []byte{}, open, 0)
	a.do(multi, "nothing", -1, true, -1)
	a.do(multi, "each kind",
		create, false, -1, at("/x"), []byte("1"), open, 0,
		setData, false, -1, at("/x"), []byte("22"), 0,
		check, false, -1, at("/x"), 1,
		create2, false, -1, at("/x/y"), []byte("1"), open, 1,
		createContainer, false, -1, at("/c"), []byte{}, open, 4,
		remove, false, -1, at("/x/y"), 0,
		setData, false, -1, at("/x"), []byte("333"), 1,
		-1, true, -1)
	a.do(multi, "flags choose the kind",
		create, false, -1, at("/c4"), []byte{}, open, 4,
		createContainer, false, -1, at("/c0"), []byte{}, open, 0,
		createContainer, false, -1, at("/c1"), []byte{}, open, 1,
		create2, false, -1, at("/c2"), []byte{}, open, 2,
		-1, true, -1)
	a.do(exists, "c1", at("/c1"), false)
	a.do(getData, "x", at("/x"), false)
	a.do(getChildren2, "root", at(""), false)
	a.do(multi, "create and delete",
		create, false, -1, at("/t"), []byte{}, open, 0, remove, false, -1, at("/t"), -1, -1, true, -1)
	a.do(multi, "delete and create again",
		remove, false, -1, at("/x"), -1, create, false, -1, at("/x"), []byte{}, open, 0, -1, true, -1)
	a.do(getData, "x is new", at("/x"), false)
}

func scenarioMultiRollback(tr *transcript) {
	a := tr.actor("a")
	at := func(p string) string { return tr.root + p }
	a.do(create, "root", at(""), []byte{}, open, 0)
	a.do(create, "x", at("/x"), []byte("1"), open, 0)
	a.do(create, "x/e", at("/x/e"), []byte("1"), open, 1)
	failing := []struct {
		what string
		ops  []any
	}{
		{"no node", []any{setData, false, -1, at("/none"), []byte{}, -1}},
		{"bad version", []any{setData, false, -1, at("/x"), []byte{}, 9}},
		{"node exists", []any{create, false, -1, at("/x"), []byte{}, open, 0}},
		{"not empty", []any{remove, false, -1, at("/x"), -1}},
		{"bad path", []any{create, false, -1, "bad", []byte{}, open, 0}},
		{"no acl", []any{create2, false, -1, at("/z"), []byte{}, []entry{}, 0}},
		{"below ephemeral", []any{create, false, -1, at("/x/e/z"), []byte{}, open, 0}},
		{"ttl", []any{createTTL, false, -1, at("/ttl"), []byte{}, open, 5, int64(1000)}},
		{"check", []any{check, false, -1, at("/x"), 8}},
	}
	for _, f := range failing {
		ops := append([]any{
			create, false, -1, at("/new"), []byte("1"), open, 0,
			create, false, -1, at("/new/e"), []byte("1"), open, 1,
			setData, false, -1, at("/x"), []byte("changed"), -1,
			remove, false, -1, at("/x/e"), -1,
			create, false, -1, at("/x/e"), []byte("1"), open, 1,
		}, f.ops...)
		a.do(multi, f.what, append(ops, check, false, -1, at("/x"), -1, setData, false, -1, at("/none"), []byte{}, 0, -1, true, -1)...)
		a.do(exists, "new", at("/new"), false)
		a.do(getData, "x", at("/x"), false)
		a.do(getData, "x/e", at("/x/e"), false)
		a.do(getChildren2, "root", at(""), false)
		a.do(getEphemerals, "own", at(""))
	}
}

func scenarioACL(tr *transcript) {
	a, b, c := tr.actor("a"), tr.actor("b"), tr.actor("c")
	at := func(p string) string { return tr.root + p }
	a.do(setAuth, "digest", 0, "digest", []byte("ann:secret"))
	a.do(create, "root", at(""), []byte{}, open, 0)
	a.do(getACL, "root", at(""))
	a.do(getACL, "missing", at("/none"))
	a.do(create, "mine", at("/mine"), []byte{}, []entry{{31, "auth", ""}}, 0)
	a.do(create, "mine/x", at("/mine/x"), []byte{}, []entry{{31, "auth", ""}, {1, "world", "anyone"}, {1, "world", "anyone"}}, 0)
	a.do(getACL, "mine", at("/mine"))
	a.do(getACL, "mine/x", at("/mine/x"))
	for _, other := range []*actor{b, c} {
		other.do(getData, "not mine", at("/mine"), false)
		other.do(getChildren, "not mine", at("/mine"), true)
		other.do(exists, "not mine", at("/mine"), false)
		other.do(setData, "not mine", at("/mine"), []byte{}, -1)
		other.do(create, "not mine", at("/mine/y"), []byte{}, open, 0)
		other.do(remove, "not mine", at("/mine/x"), -1)
		other.do(getACL, "not mine", at("/mine"))
		other.do(getACL, "readable, digest hidden", at("/mine/x"))
		other.do(setACL, "not mine", at("/mine/x"), open, -1)
		other.do(multi, "not mine", check, false, -1, at("/mine"), 0, -1, true, -1)
		if other == b {
			other.do(setAuth, "wrong password", 0, "digest", []byte("ann:wrong"))
		}
	}
	c.do(setAuth, "right password", 0, "digest", []byte("ann:secret"))
	c.do(setData, "mine now", at("/mine"), []byte{}, -1)
	c.do(setACL, "wrong version", at("/mine"), open, 4)
	c.do(setACL, "open", at("/mine"), open, 0)
	b.do(getACL, "open now", at("/mine"))
	b.do(setACL, "no acl", at("/mine"), []entry{}, -1)
	b.do(setACL, "missing", at("/none"), open, -1)
	b.do(setACL, "ip", at("/mine"), []entry{{31, "ip", "127.0.0.1"}}, -1)
	b.do(setData, "from the ip", at("/mine"), []byte{}, -1)
	b.do(setACL, "ip range", at("/mine"), []entry{{31, "ip", "127.0.0.0/8"}}, -1)
	b.do(setData, "from the range", at("/mine"), []byte{}, -1)
	sum := sha1.Sum([]byte("bob:secret"))
	b.do(setACL, "digest", at("/mine"), []entry{{31, "digest", "bob:" + base64.StdEncoding.EncodeToString(sum[:])}}, -1)
	b.do(setData, "locked out", at("/mine"), []byte{}, -1)
	b.do(setAuth, "digest", 0, "digest", []byte("bob:secret"))
	b.do(setData, "back in", at("/mine"), []byte{}, -1)
	b.do(setAuth, "unknown scheme", 0, "nobody", []byte("x"))
	b.closed()
}

func scenarioOdd(tr *transcript) {
	a := tr.actor("a")
	at := func(p string) string { return tr.root + p }
	a.do(create, "root", at(""), []byte{}, open, 0)
	a.do(create, "record cut short", raw{0, 0, 0, 1})
	a.do(create, "record empty")
	a.do(setData, "length beyond the frame", at(""), 1000)
	a.do(getData, "record cut short", raw{0, 0})
	a.do(exists, "flag missing", at(""))
	a.do(multi, "cut short", create, false, -1, at("/q"))
	a.do(multi, "not a multi operation", getData, false, -1, at(""), false, -1, true, -1)
	a.do(getData, "still here", at(""), false)
	a.do(ping, "ping")
	a.do(777, "unknown type")
}
