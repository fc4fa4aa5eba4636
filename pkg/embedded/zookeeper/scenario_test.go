package zookeeper_test

import (
	"fmt"
	"strings"
)

// scenarios are the steps every server must answer alike.
var scenarios = []struct {
	name string
	run  func(tr *transcript)
}{
	{"create", scenarioCreate},
	{"paths", scenarioPaths},
	{"sequence", scenarioSequence},
	{"delete", scenarioDelete},
	{"data", scenarioData},
	{"stat", scenarioStat},
	{"ephemeral", scenarioEphemeral},
	{"watch", scenarioWatch},
	{"set watches", scenarioSetWatches},
	{"multi", scenarioMulti},
	{"multi rollback", scenarioMultiRollback},
	{"acl", scenarioACL},
	{"odd requests", scenarioOdd},
}

func scenarioCreate(tr *transcript) {
	a := tr.actor("a")
	at := func(p string) string { return tr.root + p }
	a.do(create, "root", at(""), []byte("r"), open, 0)
	a.do(create, "again", at(""), []byte("r"), open, 0)
	a.do(create, "child", at("/x"), []byte{}, open, 0)
	a.do(create, "null data", at("/null"), []byte(nil), open, 0)
	a.do(getData, "null data", at("/null"), false)
	a.do(getData, "empty data", at("/x"), false)
	a.do(create, "no parent", at("/no/x"), []byte{}, open, 0)
	a.do(create2, "with stat", at("/y"), []byte("1234"), open, 0)
	a.do(create2, "with stat again", at("/y"), []byte("1234"), open, 0)
	a.do(create2, "ephemeral with stat", at("/e"), []byte("1234"), open, 1)
	a.do(create, "below ephemeral", at("/e/x"), []byte{}, open, 0)
	a.do(create, "no acl", at("/z"), []byte{}, []entry{}, 0)
	a.do(create, "null acl", at("/z"), []byte{}, -1, 0)
	a.do(create, "no acl, no parent", at("/no/z"), []byte{}, []entry{}, 0)
	for _, bad := range []entry{{31, "world", "me"}, {31, "nobody", "x"}, {31, "digest", "x"}, {31, "ip", "x"}, {31, "auth", ""}, {31, "", ""}} {
		a.do(create, fmt.Sprintf("acl %v", bad), at("/z"), []byte{}, []entry{bad}, 0)
	}
	for flags := 0; flags < 9; flags++ {
		a.do(create, fmt.Sprint("flags ", flags), at(fmt.Sprint("/f", flags)), []byte{}, open, flags)
	}
	a.do(createContainer, "container", at("/container"), []byte{}, open, 4)
	a.do(exists, "container", at("/container"), false)
	a.do(create, "in container", at("/container/x"), []byte{}, open, 0)
	a.do(createContainer, "container, flags 0", at("/container0"), []byte{}, open, 0)
	a.do(createTTL, "ttl", at("/ttl"), []byte{}, open, 5, int64(1000))
	a.do(getChildren2, "all", at(""), false)
}

func scenarioPaths(tr *transcript) {
	a := tr.actor("a")
	a.do(create, "root", tr.root, []byte{}, open, 0)
	paths := []string{
		"/", "", "x", "//", "/.", "/..", "/a//b", "/a/./b", "/a/../b", "/a/", "/\x00", "/a\x00", "/a\x1f", "/a\x7f", "/a\u009f", "/a\u00a0", "/a\ue000", "/a\uf8ff", "/a\uf900",
		"/a\uffef", "/a\ufff0", "/.a", "/a.", "/...", "/ ", "/ü", "/日本", "/😀", "/zookeeper", "/zookeeper/quota", "/zookeeper/config",
	}
	for _, p := range paths {
		full := p
		if strings.HasPrefix(p, "/") && p != "/" && !strings.HasPrefix(p, "/zoo") {
			full = tr.root + p
		}
		name := fmt.Sprintf("%q", p)
		if p != "/" && p != "" {
			a.do(create, "create "+name, full, []byte{}, open, 0)
		}
		if p != "/" && p != "" && !strings.HasPrefix(p, "/zoo") {
			a.do(create, "sequential "+name, full, []byte{}, open, 2)
		}
		a.do(setData, "set at 77 "+name, full, []byte{}, 77)
		a.do(setACL, "set acl at 77 "+name, full, open, 77)
		a.do(multi, "check at 77 "+name, check, false, -1, full, 77, -1, true, -1)
		a.do(remove, "delete at 77 "+name, full, 77)
		if p != "/" && p != "" && !strings.HasPrefix(p, "/zoo") {
			a.do(exists, "exists "+name, full, false)
			a.do(getData, "get "+name, full, false)
			a.do(getChildren2, "children "+name, full, false)
		}
	}
	a.do(create, "the root itself", "/", []byte{}, open, 0)
	a.do(sync9, "sync nowhere", tr.root+"/nowhere")
}

func scenarioSequence(tr *transcript) {
	a := tr.actor("a")
	at := func(p string) string { return tr.root + p }
	a.do(create, "root", at(""), []byte{}, open, 0)
	a.do(create, "first", at("/s-"), []byte{}, open, 2)
	a.do(create, "plain", at("/plain"), []byte{}, open, 0)
	a.do(create, "after a plain one", at("/s-"), []byte{}, open, 2)
	a.do(remove, "delete plain", at("/plain"), -1)
	a.do(create, "after a deletion", at("/t-"), []byte{}, open, 3)
	a.do(create, "failing", at("/t-0000000003"), []byte{}, open, 0)
	a.do(create, "failing", at("/t-0000000003"), []byte{}, open, 0)
	a.do(create, "after a failure", at("/t-"), []byte{}, open, 3)
	a.do(create, "number alone", at("/"), []byte{}, open, 2)
	a.do(create2, "number, stat", at("/u"), []byte{}, open, 2)
	a.do(createContainer, "container, sequential flag", at("/c"), []byte{}, open, 2)
	a.do(create, "taken", at("/v0000000008"), []byte{}, open, 0)
	a.do(create, "taken too", at("/w0000000010"), []byte{}, open, 0)
	a.do(create, "meets a taken name", at("/w"), []byte{}, open, 2)
	a.do(multi, "sequence in multi",
		create, false, -1, at("/m-"), []byte{}, open, 2,
		create, false, -1, at("/m-"), []byte{}, open, 2, -1, true, -1)
	a.do(multi, "failed multi takes no number",
		create, false, -1, at("/m-"), []byte{}, open, 2,
		check, false, -1, at("/none"), 0, -1, true, -1)
	a.do(create, "after a failed multi", at("/n-"), []byte{}, open, 2)
	a.do(getChildren2, "all", at(""), false)
}

func scenarioDelete(tr *transcript) {
	a := tr.actor("a")
	at := func(p string) string { return tr.root + p }
	a.do(create, "root", at(""), []byte{}, open, 0)
	a.do(create, "x", at("/x"), []byte{}, open, 0)
	a.do(create, "x/y", at("/x/y"), []byte{}, open, 0)
	a.do(remove, "missing", at("/none"), -1)
	a.do(remove, "missing parent", at("/none/x"), -1)
	a.do(remove, "with children", at("/x"), -1)
	a.do(remove, "with children, wrong version", at("/x"), 5)
	a.do(remove, "wrong version", at("/x/y"), 1)
	a.do(remove, "right version", at("/x/y"), 0)
	a.do(getChildren2, "stat of parent", at("/x"), false)
	a.do(remove, "any version", at("/x"), -1)
	a.do(remove, "again", at("/x"), -1)
	a.do(remove, "root", "/", -1)
	a.do(remove, "reserved", "/zookeeper", -1)
	a.do(exists, "root", at(""), false)
}

func scenarioData(tr *transcript) {
	a := tr.actor("a")
	at := func(p string) string { return tr.root + p }
	a.do(create, "root", at(""), []byte("one"), open, 0)
	a.do(setData, "any version", at(""), []byte("two"), -1)
	a.do(setData, "right version", at(""), []byte("three"), 1)
	a.do(setData, "old version", at(""), []byte("four"), 1)
	a.do(setData, "future version", at(""), []byte("four"), 9)
	a.do(getData, "three", at(""), false)
	a.do(setData, "null", at(""), []byte(nil), -1)
	a.do(getData, "null", at(""), false)
	a.do(setData, "missing", at("/none"), []byte{}, -1)
	a.do(getData, "missing", at("/none"), false)
	a.do(exists, "missing", at("/none"), false)
	a.do(getChildren, "missing", at("/none"), false)
	a.do(getChildren2, "missing", at("/none"), false)
	a.do(getChildren, "none", at(""), false)
	a.do(setData, "large", at(""), make([]byte, 1<<20-200), -1)
	a.do(exists, "large", at(""), false)
	a.do(check, "check by itself, wrong", at(""), 3)
	a.do(check, "check by itself, missing", at("/none"), 3)
}

func scenarioStat(tr *transcript) {
	a := tr.actor("a")
	at := func(p string) string { return tr.root + p }
	look := func(what string) { a.do(exists, what, at(""), false) }
	a.do(create, "root", at(""), []byte("one"), open, 0)
	look("new")
	a.do(create, "x", at("/x"), []byte{}, open, 0)
	look("one child")
	a.do(create, "y", at("/y"), []byte{}, open, 1)
	look("two children")
	a.do(create, "x/x", at("/x/x"), []byte{}, open, 0)
	look("a grandchild changes nothing")
	a.do(setData, "x", at("/x"), []byte("data"), -1)
	look("a child's data changes nothing")
	a.do(remove, "y", at("/y"), -1)
	look("one child again")
	a.do(setData, "root", at(""), []byte("12345"), -1)
	look("data")
	a.do(setACL, "root", at(""), open, -1)
	look("acl")
	a.do(countChildren, "below", at(""))
}

func scenarioEphemeral(tr *transcript) {
	a, b := tr.actor("a"), tr.actor("b")
	at := func(p string) string { return tr.root + p }
	a.do(create, "root", at(""), []byte("one"), open, 0)
	b.do(create, "x", at("/x"), []byte{}, open, 1)
	b.do(create, "persistent", at("/p"), []byte{}, open, 0)
	b.do(create, "below persistent", at("/p/e"), []byte{}, open, 1)
	b.do(create, "below ephemeral", at("/x/y"), []byte{}, open, 0)
	b.do(create, "sequential below ephemeral", at("/x/y"), []byte{}, open, 3)
	b.do(getEphemerals, "own", at(""))
	a.do(getEphemerals, "own", at(""))
	a.do(sync9, "sync", at("/x"))
	a.do(exists, "x", at("/x"), true)
	a.do(getChildren2, "p", at("/p"), true)
	a.do(setData, "x of another", at("/x"), []byte("hello"), -1)
	a.do(exists, "x", at("/x"), true)
	b.do(closeSession, "close")
	b.closed()
	a.hearInAnyOrder(2)
	a.do(exists, "x", at("/x"), false)
	a.do(getChildren2, "root", at(""), false)
	a.do(getChildren2, "p", at("/p"), false)
}
