package hotlist_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"eshop/pkg/catalog"
	"eshop/pkg/hotlist"
)

func TestMarks(t *testing.T) {
	onBoth(t, func(e *env) {
		s := e.session()
		c, log := clientOn(s)
		for _, kind := range []struct {
			dir     string
			set     func(context.Context, int64, string) error
			unset   func(context.Context, int64, string) error
			present func(*hotlist.View) map[int64]hotlist.Mark
		}{
			{"pin", c.Pin, c.Unpin, func(v *hotlist.View) map[int64]hotlist.Mark { return v.Pins }},
			{"ban", c.Ban, c.Unban, func(v *hotlist.View) map[int64]hotlist.Mark { return v.Bans }},
		} {
			has := func(want string) {
				e.Helper()
				v, err := c.ReadView(e.ctx())
				e.must(err)
				got := ""
				for _, id := range []int64{7, math.MaxInt64} {
					if m, ok := kind.present(v)[id]; ok {
						got += fmt.Sprintf("%d by %s ", id, m.By)
						if m.At < 1_700_000_000_000 {
							e.Errorf("%s %d at %d", kind.dir, id, m.At)
						}
					}
				}
				if got != want {
					e.Errorf("%s: got %q, want %q", kind.dir, got, want)
				}
			}
			e.must(kind.unset(e.ctx(), 7, "me")) // none is no error, nor is a missing directory
			e.must(kind.set(e.ctx(), 7, "ann"))
			has("7 by ann ")
			e.must(kind.set(e.ctx(), 7, "bob")) // again: replaced
			e.must(kind.set(e.ctx(), math.MaxInt64, "ann"))
			has("7 by bob 9223372036854775807 by ann ")
			e.must(kind.unset(e.ctx(), 7, "me"))
			has("9223372036854775807 by ann ")
			e.put(s, kind.dir+"/7", "unreadable")
			e.must(kind.set(e.ctx(), 7, "cid")) // and repaired
			has("7 by cid 9223372036854775807 by ann ")
			for _, id := range []int64{0, -1} {
				if err := kind.set(e.ctx(), id, "me"); !errors.Is(err, catalog.ErrBadID) {
					e.Errorf("%s %d: got %v, want ErrBadID", kind.dir, id, err)
				}
				if err := kind.unset(e.ctx(), id, "me"); !errors.Is(err, catalog.ErrBadID) {
					e.Errorf("un%s %d: got %v, want ErrBadID", kind.dir, id, err)
				}
			}
			if err := kind.set(e.ctx(), 7, strings.Repeat("x", hotlist.MaxBy+1)); err == nil {
				e.Errorf("%s by a very long name", kind.dir)
			}
		}
		if got := log.count("msg=pin product=7 by=ann"); got != 1 {
			e.Errorf("the log names who pinned %d times, want once", got)
		}
	})
}

// No more than MaxMarks, however many ask at a time; a mark that is there can be
// replaced all the same.
func TestMarksAreBounded(t *testing.T) {
	onBoth(t, func(e *env) {
		s := e.session()
		c, _ := clientOn(s)
		inParallel(8, hotlist.MaxMarks-10, func(i int) {
			if err := s.Create(e.Context(), "ban/"+strconv.Itoa(i+1), []byte("{}")); err != nil {
				e.Error(err)
			}
		})
		other, _ := e.client()
		var made, full atomic.Int64
		inParallel(8, 40, func(i int) {
			who := c
			if i%2 == 1 {
				who = other
			}
			err := who.Ban(e.Context(), int64(5000+i), "me")
			switch {
			case err == nil:
				made.Add(1)
			case errors.Is(err, hotlist.ErrFull):
				full.Add(1)
			default:
				e.Error(err)
			}
		})
		names, err := s.Children(e.ctx(), "ban")
		e.must(err)
		if want := hotlist.MaxMarks - 10 + int(made.Load()); len(names) != want || len(names) > hotlist.MaxMarks || made.Load() == 0 || full.Load() < 30 {
			e.Errorf("%d bans, %d made and %d refused of 40, want at most %d", len(names), made.Load(), full.Load(), hotlist.MaxMarks)
		}
		for len(names) < hotlist.MaxMarks {
			e.must(c.Ban(e.ctx(), int64(6000+len(names)), "me"))
			names = append(names, "one more")
		}
		err = c.Ban(e.ctx(), 7000, "me")
		if !errors.Is(err, hotlist.ErrFull) || err.Error() != "ban the product 7000: there are too many: at most 1000 are allowed" {
			e.Errorf("one too many: got %v", err)
		}
		e.must(c.Ban(e.ctx(), 1, "somebody else"))
		e.must(c.Unban(e.ctx(), 2, "me"))
		e.must(c.Ban(e.ctx(), 7000, "me"))
	})
}

// More marks than allowed, made by hand, do not make a view grow.
func TestTooManyMarksByHand(t *testing.T) {
	e := embeddedEnv(t)
	s := e.session()
	c, log := clientOn(s)
	inParallel(8, hotlist.MaxMarks+5, func(i int) {
		if err := s.Create(e.Context(), "pin/"+strconv.Itoa(i+1), []byte("{}")); err != nil {
			e.Error(err)
		}
	})
	for range 2 {
		v, err := c.ReadView(e.ctx())
		e.must(err)
		if _, first := v.Pins[1]; len(v.Pins) != hotlist.MaxMarks || !first {
			t.Errorf("%d pins, want the first %d", len(v.Pins), hotlist.MaxMarks)
		}
	}
	if got := log.count("too many nodes"); got != 1 {
		t.Errorf("said %d times, want once", got)
	}
}

// inParallel calls f for 0 to n-1 on some goroutines.
func inParallel(goroutines, n int, f func(i int)) {
	var all sync.WaitGroup
	var next atomic.Int64
	for range goroutines {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				f(int(i))
			}
		})
	}
	all.Wait()
}

func TestTrimPartitions(t *testing.T) {
	onBoth(t, func(e *env) {
		s := e.session()
		c, _ := clientOn(s)
		e.must(c.TrimPartitions(e.ctx(), 1)) // nothing there
		for _, path := range []string{"hot/0", "hot/7", "hot/8", "hot/12", "hot/x", "hot/012", "top/7", "top/8", "top/2147483647"} {
			e.put(s, path, "")
		}
		for _, bad := range []int{0, -1} {
			if err := c.TrimPartitions(e.ctx(), bad); err == nil {
				e.Errorf("trimmed to %d partitions", bad)
			}
		}
		e.must(c.TrimPartitions(e.ctx(), 8))
		for dir, want := range map[string]string{"hot": "[0 012 7 x]", "top": "[7]"} {
			names, err := s.Children(e.ctx(), dir)
			e.must(err)
			if got := sorted(names); got != want {
				e.Errorf("%s has %s, want %s", dir, got, want)
			}
		}
	})
}
