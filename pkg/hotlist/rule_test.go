package hotlist_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/hotlist"
	"eshop/pkg/lab"
	"eshop/pkg/zookeeper"
)

func TestValidate(t *testing.T) {
	if err := hotlist.DefaultRule().Validate(); err != nil {
		t.Errorf("the default rule: %v", err)
	}
	for _, tc := range []struct {
		change func(r *hotlist.Rule)
		want   string // empty: valid
	}{
		{func(r *hotlist.Rule) { r.Floor = 0 }, "floor is 0: at least 1 is needed"},
		{func(r *hotlist.Rule) { r.Floor = math.MaxInt64 }, ""},
		{func(r *hotlist.Rule) { r.Factor = -1 }, "factor is -1: it is 0 to 1e+06"},
		{func(r *hotlist.Rule) { r.Factor = math.NaN() }, "factor is NaN: it is 0 to 1e+06"},
		{func(r *hotlist.Rule) { r.Factor = math.Inf(1) }, "factor is +Inf: it is 0 to 1e+06"},
		{func(r *hotlist.Rule) { r.Factor = 0 }, ""},
		{func(r *hotlist.Rule) { r.Cool = 0 }, "cool is 0: it is above 0 and at most 1"},
		{func(r *hotlist.Rule) { r.Cool = 1.01 }, "cool is 1.01: it is above 0 and at most 1"},
		{func(r *hotlist.Rule) { r.Cool = 1 }, ""},
		{func(r *hotlist.Rule) { r.Hold = -1 }, "hold is -1ns: it is 0s to 1h0m0s"},
		{func(r *hotlist.Rule) { r.Hold = hotlist.Duration(time.Hour + 1) }, "hold is 1h0m0.000000001s: it is 0s to 1h0m0s"},
		{func(r *hotlist.Rule) { r.Hold = 0 }, ""},
		{func(r *hotlist.Rule) { r.Window = hotlist.Duration(900 * time.Millisecond) }, "window is 900ms: it is a multiple of 100ms from 1s to 10m0s"},
		{func(r *hotlist.Rule) { r.Window = hotlist.Duration(10*time.Second + 1) }, "window is 10.000000001s: it is a multiple of 100ms from 1s to 10m0s"},
		{func(r *hotlist.Rule) { r.Window = hotlist.Duration(11 * time.Minute) }, "window is 11m0s: it is a multiple of 100ms from 1s to 10m0s"},
		{func(r *hotlist.Rule) { r.Top = 0 }, "top is 0: it is 1 to 20000"},
		{func(r *hotlist.Rule) { r.Top = 20_001 }, "top is 20001: it is 1 to 20000"},
		{func(r *hotlist.Rule) { r.Max = 0 }, "max is 0: it is 1 to 1000"},
		{func(r *hotlist.Rule) { r.Max = 1001 }, "max is 1001: it is 1 to 1000"},
		{func(r *hotlist.Rule) { *r = hotlist.Rule{Factor: -2} }, "floor is 0: at least 1 is needed\nfactor is -2: it is 0 to 1e+06\ncool is 0: it is above 0 and at most 1\n" +
			"window is 0s: it is a multiple of 100ms from 1s to 10m0s\ntop is 0: it is 1 to 20000\nmax is 0: it is 1 to 1000"},
	} {
		r := hotlist.DefaultRule()
		tc.change(&r)
		got := ""
		if err := r.Validate(); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%+v: got\n%s\nwant\n%s", r, got, tc.want)
		}
	}
}

// The admin API reads and writes the same form.
func TestRuleJSON(t *testing.T) {
	r := hotlist.DefaultRule()
	if err := json.Unmarshal([]byte(`{"hold":"1m","window":"2.5s"}`), &r); err != nil {
		t.Fatal(err)
	}
	want := hotlist.DefaultRule()
	want.Hold, want.Window = hotlist.Duration(time.Minute), hotlist.Duration(2500*time.Millisecond)
	if r != want {
		t.Errorf("got %+v, want %+v", r, want)
	}
	for _, bad := range []string{`{"hold":5}`, `{"hold":"5"}`, `{"window":""}`, `{"floor":"200"}`, `{"top":1.5}`} {
		if err := json.Unmarshal([]byte(bad), &r); err == nil {
			t.Errorf("%s was read as %+v", bad, r)
		}
	}
}

func TestRuleNode(t *testing.T) {
	onBoth(t, func(e *env) {
		s := e.session()
		c, _ := clientOn(s)
		if _, err := c.GetRule(e.ctx()); !errors.Is(err, zookeeper.ErrNoNode) {
			e.Errorf("without a rule: got %v, want ErrNoNode", err)
		}
		first := hotlist.DefaultRule()
		first.Floor = 7
		e.must(c.InitRule(e.ctx(), first))
		e.must(c.InitRule(e.ctx(), hotlist.DefaultRule()))
		if got, err := c.GetRule(e.ctx()); err != nil || got != first {
			e.Errorf("got %+v, %v, want the first one", got, err)
		}
		second := hotlist.Rule{Floor: 1, Factor: 0, Cool: 0.25, Hold: 0, Window: hotlist.Duration(time.Second), Top: 1, Max: 1}
		e.must(c.PutRule(e.ctx(), second))
		if got, err := c.GetRule(e.ctx()); err != nil || got != second {
			e.Errorf("got %+v, %v, want %+v", got, err, second)
		}
		bad := second
		bad.Floor, bad.Top = 0, 0
		for name, store := range map[string]func(context.Context, hotlist.Rule) error{"PutRule": c.PutRule, "InitRule": c.InitRule} {
			if err := store(e.ctx(), bad); err == nil || !strings.Contains(err.Error(), "floor is 0") || !strings.Contains(err.Error(), "top is 0") {
				e.Errorf("%s: got %v, want both problems", name, err)
			}
		}
		if got, err := c.GetRule(e.ctx()); err != nil || got != second {
			e.Errorf("after a refusal: got %+v, %v, want %+v", got, err, second)
		}
		e.put(s, "rule", `{"floor":3,"colour":"red"}`) // by hand
		first = hotlist.DefaultRule()
		first.Floor = 3
		if got, err := c.GetRule(e.ctx()); err != nil || got != first {
			e.Errorf("a rule by hand: got %+v, %v, want %+v", got, err, first)
		}
		e.put(s, "rule", `{"floor":0}`)
		if got, err := c.GetRule(e.ctx()); err == nil {
			e.Errorf("a rule that is not valid: got %+v", got)
		}
		e.must(c.InitRule(e.ctx(), second)) // leaves it alone: somebody meant something
		if data, _, err := s.Get(e.ctx(), "rule"); err != nil || string(data) != `{"floor":0}` {
			e.Errorf("the node is %s, %v", data, err)
		}
	})
}

// Processes start together, some lose their connection in between: one rule
// stands, nobody has an error, and it is one of theirs.
func TestInitRuleRace(t *testing.T) {
	onBoth(t, func(e *env) {
		s := e.session()
		var processes sync.WaitGroup
		for i := range int64(8) {
			f := &faults{Session: s}
			f.set = func(write func() error) error {
				f.set = nil
				switch i % 4 {
				case 1: // done, and nobody hears of it
					e.must(ignore(write(), zookeeper.ErrNodeExists))
					return zookeeper.ErrUnknownOutcome
				case 2: // lost on the way
					return zookeeper.ErrUnknownOutcome
				}
				return write()
			}
			c, _ := clientOn(f)
			processes.Go(func() {
				r := hotlist.DefaultRule()
				r.Floor = 100 + i
				if err := c.InitRule(e.Context(), r); err != nil {
					e.Errorf("process %d: %v", i, err)
				}
			})
		}
		processes.Wait()
		c, _ := clientOn(s)
		if r, err := c.GetRule(e.ctx()); err != nil || r.Floor < 100 || r.Floor > 107 {
			e.Errorf("the rule is %+v, %v", r, err)
		}
		if _, version, err := s.Get(e.ctx(), "rule"); err != nil || version != 0 {
			e.Errorf("the rule was written %d times more, %v", version, err)
		}
	})
}

func ignore(err, harmless error) error {
	if errors.Is(err, harmless) {
		return nil
	}
	return err
}

func TestWatchRule(t *testing.T) {
	onBoth(t, func(e *env) {
		s := e.session()
		c, log := clientOn(s)
		var seen told
		stop := e.during(func(ctx context.Context) { c.WatchRule(ctx, func(r hotlist.Rule) { seen.add(fmt.Sprint(r.Floor)) }) })
		logged := func(words string, want int) {
			e.Helper()
			lab.Until(e, patience, func(context.Context) error {
				if got := log.count(words); got != want {
					return fmt.Errorf("%d lines in the log say %q, want %d", got, words, want)
				}
				return nil
			})
		}
		e.must(c.InitRule(e.ctx(), hotlist.DefaultRule()))
		seen.wait(e, "200")
		e.put(s, "rule", `{"floor":0,"top":0}`)
		logged("not valid", 1)
		e.put(s, "rule", `{`)
		logged("not valid", 2)
		e.put(s, "rule", ``)
		logged("not valid", 3)
		e.must(s.Delete(e.ctx(), "rule", -1))
		logged("there is no rule", 1)
		if got := fmt.Sprint(seen.all()); got != "[200]" {
			e.Errorf("told %s, want the valid one alone", got)
		}
		r := hotlist.DefaultRule()
		r.Floor = 9
		e.must(c.PutRule(e.ctx(), r))
		seen.wait(e, "9")
		stop()
		e.put(s, "rule", `{"floor":10}`)
		if got := fmt.Sprint(seen.all()); got != "[200 9]" {
			e.Errorf("told %s", got)
		}
	})
}

// stuck is a ZooKeeper that never answers.
type stuck struct{ hotlist.Session }

func (stuck) Token(ctx context.Context) (int64, error) {
	<-ctx.Done()
	return 0, context.Cause(ctx)
}

func (stuck) Get(ctx context.Context, _ string) ([]byte, int32, error) {
	<-ctx.Done()
	return nil, 0, context.Cause(ctx)
}

// A call whose context has no deadline has one all the same.
func TestCallsHaveADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := clientOn(stuck{})
		for name, call := range map[string]func() error{
			"Claim":   func() error { _, _, err := c.Claim(t.Context(), 0, "hc"); return err },
			"GetRule": func() error { _, err := c.GetRule(t.Context()); return err },
		} {
			began := time.Now()
			err := call()
			if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != 10*time.Second {
				t.Errorf("%s: got %v after %v, want the deadline after 10s", name, err, took)
			}
		}
	})
}
