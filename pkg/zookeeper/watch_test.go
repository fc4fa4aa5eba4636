package zookeeper_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"eshop/pkg/zookeeper"
)

// journal notes what a watch was told.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(line string) { j.mu.Lock(); j.lines = append(j.lines, line); j.mu.Unlock() }

func (j *journal) all() []string { j.mu.Lock(); defer j.mu.Unlock(); return slices.Clone(j.lines) }

func (j *journal) node(data []byte, exists bool, version int32) {
	j.add(fmt.Sprintf("%q %v %d", data, exists, version))
}

func (j *journal) children(children map[string][]byte) {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(children)) {
		parts = append(parts, name+"="+string(children[name]))
	}
	j.add(strings.Join(parts, " "))
}

// waitLast waits until the newest line is want.
func (e *env) waitLast(j *journal, want string) {
	e.Helper()
	e.eventually("a watch", func() string {
		lines := j.all()
		if len(lines) == 0 || lines[len(lines)-1] != want {
			return fmt.Sprintf("got %q, want %q at the end", lines, want)
		}
		return ""
	})
}

func TestWatchNode(t *testing.T) {
	onBoth(t, func(e *env) {
		s, writer := e.session(), e.session()
		var j journal
		ctx, cancel := context.WithCancel(e.ctx())
		s.WatchNode(ctx, "a/b", j.node)
		e.waitLast(&j, `"" false 0`)
		for i := range 3 {
			if err := writer.Put(e.ctx(), "a/b", fmt.Append(nil, i)); err != nil {
				e.Fatal(err)
			}
			e.waitLast(&j, fmt.Sprintf(`"%d" true %d`, i, i))
		}
		if err := writer.Delete(e.ctx(), "a/b", -1); err != nil {
			e.Fatal(err)
		}
		e.waitLast(&j, `"" false 0`)
		if err := writer.Create(e.ctx(), "a/b", []byte("new")); err != nil {
			e.Fatal(err)
		}
		e.waitLast(&j, `"new" true 0`)
		cancel()
		told := len(j.all())
		if err := writer.Put(e.ctx(), "a/b", []byte("later")); err != nil {
			e.Fatal(err)
		}
		if _, err := s.Token(e.ctx()); err != nil { // a round trip later
			e.Fatal(err)
		}
		if got := len(j.all()); got != told {
			e.Errorf("calls after the end: got %d, want %d", got, told)
		}
	})
}

func TestWatchChildren(t *testing.T) {
	onBoth(t, func(e *env) {
		s, writer := e.session(), e.session()
		var j journal
		s.WatchChildren(e.ctx(), "g", j.children)
		e.waitLast(&j, "")
		for _, step := range []struct{ path, data, want string }{
			{"g/a", "1", "a=1"},
			{"g/b", "2", "a=1 b=2"},
			{"g/a", "3", "a=3 b=2"}, // data alone
			{"g/b", "4", "a=3 b=4"},
			{"g/b", "5", "a=3 b=5"},
		} {
			if err := writer.Put(e.ctx(), step.path, []byte(step.data)); err != nil {
				e.Fatal(err)
			}
			e.waitLast(&j, step.want)
		}
		if err := writer.Delete(e.ctx(), "g/a", -1); err != nil {
			e.Fatal(err)
		}
		e.waitLast(&j, "b=5")
		for i := range 50 { // a burst; only the end is certain to be told
			if err := writer.Put(e.ctx(), fmt.Sprintf("g/b%d", i%5), fmt.Append(nil, i)); err != nil {
				e.Fatal(err)
			}
		}
		e.waitLast(&j, "b=5 b0=45 b1=46 b2=47 b3=48 b4=49")
		for _, name := range []string{"b", "b0", "b1", "b2", "b3", "b4"} {
			if err := writer.Delete(e.ctx(), "g/"+name, -1); err != nil {
				e.Fatal(err)
			}
		}
		e.waitLast(&j, "")
		if err := writer.Delete(e.ctx(), "g", -1); err != nil {
			e.Fatal(err)
		}
		if err := writer.Put(e.ctx(), "g/again", []byte("1")); err != nil {
			e.Fatal(err)
		}
		e.waitLast(&j, "again=1")
		lines := j.all()
		for i := 1; i < len(lines); i++ {
			if lines[i] == lines[i-1] {
				e.Errorf("told twice of %q", lines[i])
			}
		}
	})
}

// A change of one child costs one event and one read, however many there are.
func TestWatchChildrenReadsWhatChanged(t *testing.T) {
	onBoth(t, func(e *env) {
		const children = 12
		p := e.proxy()
		s, writer := e.session(through(p), timeout(30*time.Second)), e.session()
		var want []string
		put := func(i int, data string) {
			e.Helper()
			if err := writer.Put(e.ctx(), fmt.Sprintf("g/%02d", i), []byte(data)); err != nil {
				e.Fatal(err)
			}
			want = append(want[:min(i, len(want))], append([]string{fmt.Sprintf("%02d=%s", i, data)}, want[min(i+1, len(want)):]...)...)
		}
		for i := range children {
			put(i, "0")
		}
		var j journal
		s.WatchChildren(e.ctx(), "g", j.children)
		e.waitLast(&j, strings.Join(want, " "))
		for i := range children + 1 { // the last one is new
			reads, events := p.count(opGetData), p.count(opEvent)
			put(i, "1")
			e.waitLast(&j, strings.Join(want, " "))
			if reads, events = p.count(opGetData)-reads, p.count(opEvent)-events; reads != 1 || events != 1 {
				e.Errorf("change of child %d: got %d reads and %d events, want one of each", i, reads, events)
			}
		}
	})
}

// PITFALLS 27: watches and ephemerals are gone after an expiry. The watches of
// the expired session tell of what changed meanwhile, and of nothing else; its
// members are back.
func TestExpiryRearmsAndRejoins27(t *testing.T) {
	onBoth(t, func(e *env) {
		p := e.proxy()
		s, other := e.session(through(p), timeout(time.Second)), e.session()
		if err := other.Put(e.ctx(), "n", []byte("1")); err != nil {
			e.Fatal(err)
		}
		if err := other.Put(e.ctx(), "still/x", []byte("1")); err != nil {
			e.Fatal(err)
		}
		var node, members, still, seen journal
		s.WatchNode(e.ctx(), "n", node.node)
		s.WatchChildren(e.ctx(), "still", still.children)
		s.WatchChildren(e.ctx(), zookeeper.MembersPath("g"), members.children)
		other.WatchChildren(e.ctx(), zookeeper.MembersPath("g"), seen.children)
		s.Join(e.ctx(), "g", "a", []byte("A"))
		other.Join(e.ctx(), "g", "b", []byte("B"))
		for _, j := range []*journal{&members, &seen} {
			e.waitLast(j, "a=A b=B")
		}
		e.waitLast(&node, `"1" true 0`)
		told := len(members.all())
		for i := range 2 {
			p.cut()
			e.waitLast(&seen, "b=B") // expired
			if err := other.Put(e.ctx(), "n", fmt.Append(nil, "during ", i)); err != nil {
				e.Fatal(err)
			}
			if got := members.all(); len(got) != told {
				e.Errorf("told while away: %q", got[told:])
			}
			p.heal()
			e.waitLast(&seen, "a=A b=B")
			e.waitLast(&node, fmt.Sprintf(`"during %d" true %d`, i, 2*i+1))
			if err := other.Put(e.ctx(), "n", []byte("after")); err != nil {
				e.Fatal(err)
			}
			e.waitLast(&node, fmt.Sprintf(`"after" true %d`, 2*i+2))
			e.waitLast(&members, "a=A b=B")
			told = len(members.all())
		}
		if got := still.all(); len(got) != 1 {
			e.Errorf("told of children that never changed: %q", got)
		}
	})
}

// A change during a disconnect that the session survives is told of after it.
func TestChangesDuringADisconnectAreTold(t *testing.T) {
	onBoth(t, func(e *env) {
		p := e.proxy()
		s, other := e.session(through(p), timeout(10*time.Second)), e.session()
		var node, children journal
		s.WatchNode(e.ctx(), "n", node.node)
		s.WatchChildren(e.ctx(), "g", children.children)
		e.waitLast(&children, "")
		e.waitLast(&node, `"" false 0`)
		for i := range 5 {
			p.cut()
			e.waitState(s, zookeeper.Suspended)
			for _, path := range []string{"n", "g/a"} {
				if err := other.Put(e.ctx(), path, fmt.Append(nil, i)); err != nil {
					e.Fatal(err)
				}
			}
			p.heal()
			e.waitLast(&node, fmt.Sprintf(`"%d" true %d`, i, i))
			e.waitLast(&children, fmt.Sprintf("a=%d", i))
		}
	})
}

func TestMemberComesAndGoes(t *testing.T) {
	onBoth(t, func(e *env) {
		s, other := e.session(), e.session()
		var j journal
		other.WatchChildren(e.ctx(), zookeeper.MembersPath("g"), j.children)
		ctx, leave := context.WithCancel(e.ctx())
		s.Join(ctx, "g", "a", []byte("A"))
		e.waitLast(&j, "a=A")
		// Someone removes the node: it is made again. Who watches may see both at
		// once, which is no change.
		if err := other.Delete(e.ctx(), zookeeper.MembersPath("g")+"/a", -1); err != nil {
			e.Fatal(err)
		}
		e.eventually("the member is back", func() string {
			lines := j.all()
			if lines[len(lines)-1] != "a=A" {
				return fmt.Sprint(lines)
			}
			if _, _, err := other.Get(e.ctx(), "members/g/a"); err != nil {
				return err.Error()
			}
			return ""
		})
		leave()
		e.waitLast(&j, "")
	})
}

// A member that restarts replaces the node of its former session at once, and
// the group never sees it missing. The former process, should it live, leaves
// the new node alone, and takes over when that goes.
func TestMemberReplacesItsFormerSelf(t *testing.T) {
	onBoth(t, func(e *env) {
		former, s, other := e.session(), e.session(), e.session()
		var j journal
		former.Join(e.ctx(), "g", "a", []byte("old"))
		other.WatchChildren(e.ctx(), zookeeper.MembersPath("g"), j.children)
		e.waitLast(&j, "a=old")
		ctx, leave := context.WithCancel(e.ctx())
		s.Join(ctx, "g", "a", []byte("new"))
		e.waitLast(&j, "a=new")
		told := slices.Clone(j.all())
		if told[len(told)-2] != "a=old" {
			e.Errorf("the group was told %q, want no gap between old and new", told)
		}
		if _, err := former.Token(e.ctx()); err != nil {
			e.Fatal(err)
		}
		if got := len(j.all()); got != len(told) {
			e.Errorf("the two fight: %q", j.all())
		}
		leave()
		e.waitLast(&j, "a=old")
	})
}
