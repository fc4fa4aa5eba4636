package zookeeper_test

import (
	"crypto/rand"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"eshop/pkg/embedded/zookeeper"
	"eshop/pkg/lab"
)

// Request types, as the protocol numbers them.
const (
	create, remove, exists, getData, setData, getACL, setACL, getChildren, sync9, ping = 1, 2, 3, 4, 5, 6, 7, 8, 9, 11
	getChildren2, check, multi, create2, createContainer, createTTL                    = 12, 13, 14, 15, 19, 21
	setAuth, setWatches, getEphemerals, countChildren, whoAmI, closeSession            = 100, 101, 103, 104, 107, -11
)

// TestConformance holds the embedded server, and the real ensemble where there is one, against what a real server was recorded to answer.
// With -update the files are recorded anew from the real ensemble.
func TestConformance(t *testing.T) {
	for _, server := range []struct {
		name string
		addr func(t *testing.T) string
	}{
		{"real", func(t *testing.T) string { return lab.ZooKeeper(t).Addrs()[0] }},
		{"embedded", func(t *testing.T) string { return start(t, zookeeper.Config{}).Addr() }},
	} {
		t.Run(server.name, func(t *testing.T) {
			addr := server.addr(t)
			for _, sc := range scenarios {
				t.Run(sc.name, func(t *testing.T) {
					tr := newTranscript(t, addr)
					sc.run(tr)
					got := strings.Join(tr.lines, "\n") + "\n"
					file := filepath.Join("testdata", "conformance", strings.ReplaceAll(sc.name, " ", "-")+".txt")
					if *update && server.name == "real" {
						if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
							t.Fatal(err)
						}
					}
					want, err := os.ReadFile(file)
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
						t.Errorf("answers differ (-recorded +got):\n%s", diff)
					}
				})
			}
		})
	}
}

var update = flag.Bool("update", false, "record the answers of the real server anew")

// transcript runs steps against one server and writes down what it answered, with everything that differs from run to run given a
// name by its first appearance: zxids z1, z2…, sessions, times. Two servers behave alike when their transcripts are equal.
type transcript struct {
	tb    testing.TB
	addr  string
	root  string
	lines []string
	zxids map[int64]string
	names map[int64]string // sessions
}

func newTranscript(tb testing.TB, addr string) *transcript {
	return &transcript{tb: tb, addr: addr, root: "/conformance-" + rand.Text(), zxids: map[int64]string{}, names: map[int64]string{}}
}

func (tr *transcript) log(format string, args ...any) {
	tr.lines = append(tr.lines, strings.ReplaceAll(fmt.Sprintf(format, args...), tr.root, ""))
}

func (tr *transcript) zxid(z int64) string {
	if z == 0 || z == -1 {
		return fmt.Sprint(z)
	}
	if tr.zxids[z] == "" {
		tr.zxids[z] = fmt.Sprintf("z%d", len(tr.zxids)+1)
	}
	return tr.zxids[z]
}

func (tr *transcript) stat(s nodeStat) string {
	now := time.Now().UnixMilli()
	for _, at := range []int64{s.Ctime, s.Mtime} {
		if at < now-60_000 || at > now+1000 {
			tr.tb.Errorf("time %d in a stat is not now (%d)", at, now)
		}
	}
	owner := fmt.Sprint(s.Owner)
	if name := tr.names[s.Owner]; name != "" {
		owner = name
	}
	return fmt.Sprintf("{c=%s m=%s p=%s v=%d cv=%d av=%d owner=%s len=%d children=%d later=%t}", tr.zxid(s.Czxid), tr.zxid(s.Mzxid), tr.zxid(s.Pzxid),
		s.Version, s.Cversion, s.Aversion, owner, s.DataLength, s.NumChildren, s.Mtime >= s.Ctime)
}

// actor is one connection of a transcript.
type actor struct {
	*rawClient
	tr   *transcript
	name string
}

func (tr *transcript) actor(name string) *actor {
	c := openRaw(tr.tb, tr.addr)
	tr.names[c.session] = name
	return &actor{c, tr, name}
}

// do sends one request and writes down every frame up to its answer, or that the connection was closed. A write's header zxid is written
// down; a read's depends on other clients of the ensemble and is only checked to be there.
func (a *actor) do(op int, what string, body ...any) answer {
	a.tb.Helper()
	xid := a.send(op, body...)
	for {
		ans, err := a.receive()
		if err != nil {
			a.tr.log("%s %s: closed", a.name, what)
			return answer{}
		}
		if ans.xid == -1 {
			a.event(ans)
			continue
		}
		if ans.xid != xid && (op != ping || ans.xid != -2) {
			a.tb.Fatalf("%s %s: answer to request %d, want %d", a.name, what, ans.xid, xid)
		}
		a.tr.log("%s %s: %d%s%s", a.name, what, ans.code, a.header(op, ans), a.body(op, ans))
		return ans
	}
}

func (a *actor) header(op int, ans answer) string {
	switch op {
	case create, create2, createContainer, remove, setData, setACL, multi:
		return " at " + a.tr.zxid(ans.zxid)
	}
	if ans.zxid <= 0 {
		return fmt.Sprint(" zxid ", ans.zxid)
	}
	return ""
}

func (a *actor) body(op int, ans answer) string {
	d := ans.body
	if ans.code != 0 {
		return a.rest(d)
	}
	var text string
	switch op {
	case create, sync9:
		text = " " + d.string()
	case create2, createContainer:
		text = " " + d.string() + " " + a.tr.stat(d.stat())
	case exists, setData, setACL:
		text = " " + a.tr.stat(d.stat())
	case getData:
		data := d.data()
		text = fmt.Sprintf(" %q null=%t %s", data, data == nil, a.tr.stat(d.stat()))
	case getACL:
		text = fmt.Sprintf(" %v %s", d.acls(), a.tr.stat(d.stat()))
	case getChildren, getEphemerals:
		text = fmt.Sprintf(" %v", sorted(d.strings()))
	case getChildren2:
		text = fmt.Sprintf(" %v %s", sorted(d.strings()), a.tr.stat(d.stat()))
	case countChildren:
		text = fmt.Sprintf(" %d", d.int32())
	case multi:
		text = a.multiBody(d)
	}
	return text + a.rest(d)
}

func (a *actor) multiBody(d *fields) string {
	var b strings.Builder
	for {
		op, done, code := int(d.int32()), d.bool(), d.int32()
		fmt.Fprintf(&b, " [%d %t %d", op, done, code)
		if done {
			return b.String() + "]"
		}
		switch op {
		case -1:
			fmt.Fprintf(&b, " %d", d.int32())
		case create:
			b.WriteString(" " + d.string())
		case create2, createContainer:
			b.WriteString(" " + d.string() + " " + a.tr.stat(d.stat()))
		case setData:
			b.WriteString(" " + a.tr.stat(d.stat()))
		}
		b.WriteString("]")
	}
}

func (a *actor) rest(d *fields) string {
	if len(d.b) == 0 {
		return ""
	}
	return fmt.Sprintf(" +%d bytes", len(d.b))
}

func (a *actor) event(ans answer) {
	a.tr.log("%s event: zxid %d code %d type %d state %d %s%s", a.name, ans.zxid, ans.code, ans.body.int32(), ans.body.int32(), ans.body.string(), a.rest(ans.body))
}

// hear waits for one frame, which must be an event.
func (a *actor) hear() {
	a.tb.Helper()
	ans, err := a.receive()
	if err != nil || ans.xid != -1 {
		a.tb.Fatalf("%s waits for an event: got xid %d, error %v", a.name, ans.xid, err)
	}
	a.event(ans)
}

// hearInAnyOrder waits for events whose order no server promises.
func (a *actor) hearInAnyOrder(n int) {
	a.tb.Helper()
	first := len(a.tr.lines)
	for range n {
		a.hear()
	}
	slices.Sort(a.tr.lines[first:])
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}
