package hotlist_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"eshop/pkg/hotlist"
	"eshop/pkg/lab"
	"eshop/pkg/zookeeper"
)

// followed is everything a process watches.
type followed struct{ view, tops, rule told }

func (e *env) follow(c *hotlist.Client) *followed {
	var f followed
	e.during(func(ctx context.Context) { c.Watch(ctx, func(v *hotlist.View) { f.view.add(show(v)) }) })
	e.during(func(ctx context.Context) {
		c.WatchTop(ctx, func(tops []hotlist.Top) {
			var parts []string
			for _, t := range tops {
				parts = append(parts, fmt.Sprintf("%d@%d", t.Partition, t.Offset))
			}
			f.tops.add(strings.Join(parts, " "))
		})
	})
	e.during(func(ctx context.Context) { c.WatchRule(ctx, func(r hotlist.Rule) { f.rule.add(fmt.Sprint(r.Floor)) }) })
	return &f
}

func (f *followed) calls() int { return len(f.view.all()) + len(f.tops.all()) + len(f.rule.all()) }

// PITFALLS 27, 40: ZooKeeper is away for a while, shorter than the session lives
// or longer. What was seen last stands, nothing is told meanwhile, and changes
// that others made arrive afterwards, through watches of the same session or of a
// new one.
func TestZooKeeperAwayAndBack27_40(t *testing.T) {
	for _, tc := range []struct {
		name    string
		session time.Duration
		expire  bool
	}{{"disconnect", 30 * time.Second, false}, {"expiry", time.Second, true}} {
		t.Run(tc.name, func(t *testing.T) {
			onBoth(t, func(e *env) {
				link := lab.NewLink(e, e.addrs[0])
				s := e.session(behind(link), timeout(tc.session))
				c, _ := clientOn(s)
				writer, _ := e.client()
				p, _ := e.claim(writer, 0, "hc")
				change := func(i int64) {
					e.must(p.PublishHot(e.ctx(), hotlist.Hot{Keys: keys(100 + i)}))
					e.must(p.PublishTop(e.ctx(), hotlist.Top{Offset: i}))
					e.must(writer.Pin(e.ctx(), 10+i, "me"))
					e.must(writer.Ban(e.ctx(), 20+i, "me"))
					r := hotlist.DefaultRule()
					r.Floor = 1 + i
					e.must(writer.PutRule(e.ctx(), r))
				}
				f := e.follow(c)
				var pins string
				arrived := func(i int64) {
					e.Helper()
					pins += fmt.Sprintf("%d:pin(0) ", 10+i)
					f.view.wait(e, fmt.Sprintf("%s%d:rule(%d)", pins, 100+i, 10*(100+i)))
					f.tops.wait(e, fmt.Sprintf("0@%d", i))
					f.rule.wait(e, fmt.Sprint(1+i))
				}
				change(0)
				arrived(0)
				observer := e.session()
				s.Join(e.ctx(), "gateway", "me", nil) // its node is there while the session lives
				e.members(observer, 1)
				for i := int64(1); i < 5; i += 2 {
					link.Cut()
					lab.Until(e, patience, func(context.Context) error {
						if state := s.State(); state != zookeeper.Suspended {
							return fmt.Errorf("the session is %s", state)
						}
						return nil
					})
					calls := f.calls()
					change(i)
					if tc.expire {
						e.members(observer, 0)
					}
					if got := f.calls(); got != calls {
						e.Errorf("told %d times while away", got-calls)
					}
					link.Heal()
					arrived(i)
					change(i + 1)
					arrived(i + 1)
					e.members(observer, 1)
				}
			})
		})
	}
}

// members waits until the session that joined lives, or does not.
func (e *env) members(s *zookeeper.Session, want int) {
	e.Helper()
	lab.Until(e, patience, func(ctx context.Context) error {
		names, err := s.Children(ctx, zookeeper.MembersPath("gateway"))
		if len(names) != want {
			return fmt.Errorf("members %v, %v, want %d", names, err, want)
		}
		return nil
	})
}

// Calls that cannot be answered end with their context; publishing goes on when
// ZooKeeper is back, under the same claim.
func TestCallsWhileAway(t *testing.T) {
	onBoth(t, func(e *env) {
		link := lab.NewLink(e, e.addrs[0])
		c, _ := e.client(behind(link), timeout(30*time.Second))
		p, _ := e.claim(c, 0, "hc")
		e.must(p.PublishHot(e.ctx(), hotlist.Hot{}))
		link.Cut()
		for name, call := range map[string]func(context.Context) error{
			"PublishHot":     func(ctx context.Context) error { return p.PublishHot(ctx, hotlist.Hot{Keys: keys(1)}) },
			"PublishTop":     func(ctx context.Context) error { return p.PublishTop(ctx, hotlist.Top{}) },
			"Claim":          func(ctx context.Context) error { _, _, err := c.Claim(ctx, 1, "hc"); return err },
			"ReadView":       func(ctx context.Context) error { _, err := c.ReadView(ctx); return err },
			"ReadTops":       func(ctx context.Context) error { _, err := c.ReadTops(ctx); return err },
			"GetRule":        func(ctx context.Context) error { _, err := c.GetRule(ctx); return err },
			"PutRule":        func(ctx context.Context) error { return c.PutRule(ctx, hotlist.DefaultRule()) },
			"InitRule":       func(ctx context.Context) error { return c.InitRule(ctx, hotlist.DefaultRule()) },
			"Pin":            func(ctx context.Context) error { return c.Pin(ctx, 1, "me") },
			"Unban":          func(ctx context.Context) error { return c.Unban(ctx, 1, "me") },
			"TrimPartitions": func(ctx context.Context) error { return c.TrimPartitions(ctx, 1) },
		} {
			ctx, cancel := context.WithTimeout(e.Context(), 30*time.Millisecond)
			if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
				e.Errorf("%s: got %v, want the end of its context", name, err)
			}
			cancel()
		}
		link.Heal()
		e.must(p.PublishHot(e.ctx(), hotlist.Hot{Keys: keys(2)}))
		v, err := c.ReadView(e.ctx())
		e.must(err)
		if got := show(v); got != "2:rule(20)" {
			e.Errorf("after the outage: %q", got)
		}
	})
}
