package hotlist_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"eshop/pkg/hotlist"
	"eshop/pkg/lab"
)

// A view is hot by rule or pin and not banned, and follows each of the three.
// The directories need not be there at first.
func TestWatch(t *testing.T) {
	onBoth(t, func(e *env) {
		c, _ := e.client()
		writer, _ := e.client()
		seen, _ := e.views(c)
		seen.wait(e, "") // an empty view, and not none
		p, _ := e.claim(writer, 0, "hc")
		q, _ := e.claim(writer, 1, "hc")
		publish := func(p *hotlist.Publisher, ids ...int64) func() error {
			return func() error { return p.PublishHot(e.ctx(), hotlist.Hot{Keys: keys(ids...)}) }
		}
		mark := func(f func(context.Context, int64, string) error, id int64) func() error {
			return func() error { return f(e.ctx(), id, "me") }
		}
		for i, step := range []struct {
			do   func() error
			want string
		}{
			{publish(p, 7, 8), "7:rule(70) 8:rule(80)"},
			{publish(q, 3), "3:rule(30) 7:rule(70) 8:rule(80)"},
			{mark(writer.Pin, 5), "3:rule(30) 5:pin(0) 7:rule(70) 8:rule(80)"}, // only a pin changed
			{mark(writer.Pin, 7), "3:rule(30) 5:pin(0) 7:pin(70) 8:rule(80)"},
			{mark(writer.Ban, 8), "3:rule(30) 5:pin(0) 7:pin(70)"}, // only a ban
			{mark(writer.Ban, 7), "3:rule(30) 5:pin(0)"},           // a ban beats a pin
			{mark(writer.Unpin, 7), "3:rule(30) 5:pin(0)"},
			{mark(writer.Unban, 7), "3:rule(30) 5:pin(0) 7:rule(70)"},
			{mark(writer.Unpin, 5), "3:rule(30) 7:rule(70)"},
			{publish(p), "3:rule(30)"},
			{mark(writer.Unban, 8), "3:rule(30)"},
			{func() error { return writer.TrimPartitions(e.ctx(), 1) }, ""},
		} {
			e.must(step.do())
			seen.wait(e, step.want)
			v, err := writer.ReadView(e.ctx())
			e.must(err)
			if got := show(v); got != step.want {
				e.Errorf("step %d: read %q, want %q", i, got, step.want)
			}
		}
	})
}

// Pins and bans keep who and when, lists their age; a pinned key that the rule
// does not hold hot is so since it was pinned.
func TestViewTellsWhy(t *testing.T) {
	e := embeddedEnv(t)
	c, _ := e.client()
	p, _ := e.claim(c, 4, "hc-4")
	e.must(p.PublishHot(e.ctx(), hotlist.Hot{Watermark: 11, Published: 12, Keys: keys(7)}))
	e.must(c.Pin(e.ctx(), 7, "ann"))
	e.must(c.Pin(e.ctx(), 9, "bob"))
	e.must(c.Ban(e.ctx(), 1, "cid"))
	v, err := c.ReadView(e.ctx())
	e.must(err)
	if l := v.Lists[0]; l.Watermark != 11 || l.Published != 12 || l.Holder != "hc-4" {
		t.Errorf("the list is %+v", l)
	}
	if v.Pins[7].By != "ann" || v.Pins[9].By != "bob" || v.Bans[1].By != "cid" || v.Pins[9].At == 0 {
		t.Errorf("pins %v, bans %v", v.Pins, v.Bans)
	}
	if k := v.Hot[9]; k.Since != v.Pins[9].At || k.Count != 0 {
		t.Errorf("a key that is only pinned: %+v", k)
	}
	if k := v.Hot[7]; k.Since != keys(7)[0].Since || k.Count != 70 || k.Reason != hotlist.ReasonPin {
		t.Errorf("a key that is pinned and hot: %+v", k)
	}
	if v.Changed.IsZero() {
		t.Error("the view does not say when")
	}
}

// A key in two lists, as after a change of the number of partitions, is that of
// the list published last.
func TestKeyInTwoLists(t *testing.T) {
	e := embeddedEnv(t)
	c, _ := e.client()
	p, _ := e.claim(c, 0, "a")
	q, _ := e.claim(c, 1, "b")
	for _, step := range []struct {
		p         *hotlist.Publisher
		published int64
		count     int64
		want      int64
	}{{p, 100, 1, 1}, {q, 90, 2, 1}, {q, 110, 3, 3}, {p, 120, 4, 4}} {
		e.must(step.p.PublishHot(e.ctx(), hotlist.Hot{Published: step.published, Keys: []hotlist.Key{{ID: 7, Count: step.count}}}))
		v, err := c.ReadView(e.ctx())
		e.must(err)
		if got := v.Hot[7].Count; got != step.want {
			t.Errorf("published at %d: got the list with count %d, want %d", step.published, got, step.want)
		}
		if v.Lists[0].Partition != 0 {
			t.Errorf("lists in the order %d, %d", v.Lists[0].Partition, v.Lists[1].Partition)
		}
	}
}

// A node that cannot be read is named once, also when others change and when the
// view is read too; the others count. It is named again when it has changed.
func TestUnreadableNodesAreNamedOnce(t *testing.T) {
	onBoth(t, func(e *env) {
		s := e.session()
		c, log := clientOn(s)
		writer, _ := e.client()
		p, _ := e.claim(writer, 0, "hc")
		bad := map[string]string{
			"hot/1": `{"partition":1`, "hot/2": `{"partition":1,"generation":5}`, "hot/x": "{}", "hot/01": `{"partition":1,"generation":5}`, "hot/-1": `{"partition":-1,"generation":5}`,
			"hot/3": `{"partition":3,"generation":5,"keys":[{"id":0}]}`, "hot/4": `{"partition":4,"generation":5,"keys":[` + strings.Repeat(`{"id":1},`, hotlist.MaxHot) + `{"id":2}]}`,
			"pin/x": "{}", "pin/07": "{}", "pin/9": "", "ban/3": "[]", "ban/0": "{}",
			"top/5": `{"partition":5,"generation":1,"keys":[[7,-1]]}`, "top/6": `{"partition":6,"generation":1,"keys":[7]}`,
		}
		for path, data := range bad {
			e.put(s, path, data)
		}
		e.put(s, "pin/11", `{"later":[1],"by":"x"}`) // unknown fields are ignored, missing ones zero
		seen, _ := e.views(c)
		var tops told
		e.during(func(ctx context.Context) { c.WatchTop(ctx, func(t []hotlist.Top) { tops.add(fmt.Sprint(len(t))) }) })
		tops.wait(e, "0")
		for i := range int64(5) {
			e.must(p.PublishHot(e.ctx(), hotlist.Hot{Keys: keys(100 + i)}))
			seen.wait(e, fmt.Sprintf("11:pin(0) %d:rule(%d)", 100+i, 10*(100+i)))
			_, err := c.ReadView(e.ctx())
			e.must(err)
			_, err = c.ReadTops(e.ctx())
			e.must(err)
		}
		for path := range bad {
			if got := log.count("node=" + path + " "); got != 1 {
				e.Errorf("%s is named %d times, want once", path, got)
			}
		}
		e.put(s, "pin/9", "x")
		e.put(s, "ban/3", `{}`)
		e.put(s, "ban/100", `{}`)
		lab.Until(e, patience, func(context.Context) error {
			if got := log.count("node=pin/9 "); got != 2 {
				return fmt.Errorf("pin/9 is named %d times, want again after its change", got)
			}
			return nil
		})
	})
}

// A burst may be seen as a few changes; the last state is always seen, and every
// call is made by the goroutine that watches, none after its end.
func TestBurst(t *testing.T) {
	onBoth(t, func(e *env) {
		c, _ := e.client()
		writer, _ := e.client()
		var seen told
		inside := make(chan struct{}, 1)
		stop := e.during(func(ctx context.Context) {
			c.Watch(ctx, func(v *hotlist.View) {
				inside <- struct{}{} // blocks or panics if called twice at a time
				seen.add(show(v))
				<-inside
			})
		})
		var publishers []*hotlist.Publisher
		for i := range int32(4) {
			p, _ := e.claim(writer, i, "hc")
			publishers = append(publishers, p)
		}
		for round := range int64(25) {
			for i, p := range publishers {
				e.must(p.PublishHot(e.ctx(), hotlist.Hot{Keys: keys(1000*int64(i+1) + round)}))
			}
			if round%5 == 0 {
				e.must(writer.Pin(e.ctx(), 1+round, "me"))
			}
		}
		want := "1:pin(0) 6:pin(0) 11:pin(0) 16:pin(0) 21:pin(0) 1024:rule(10240) 2024:rule(20240) 3024:rule(30240) 4024:rule(40240)"
		seen.wait(e, want)
		stop()
		n := len(seen.all())
		e.must(publishers[0].PublishHot(e.ctx(), hotlist.Hot{}))
		_, err := c.ReadView(e.ctx()) // a round trip later
		e.must(err)
		if got := len(seen.all()); got != n {
			e.Errorf("%d calls after the end", got-n)
		}
	})
}

// byHand is a ZooKeeper of which the test says what its watches tell.
type byHand struct {
	hotlist.Session
	tell map[string]func(map[string][]byte)
}

func (b *byHand) WatchChildren(_ context.Context, dir string, fn func(map[string][]byte)) {
	b.tell[dir] = fn
}

// No view is told before lists, pins and bans are all known, for it would be
// wrong. While fn is busy changes gather, and it is told of their sum, once.
func TestViewsAreWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zk := &byHand{tell: map[string]func(map[string][]byte){}}
		c, _ := clientOn(zk)
		ctx, cancel := context.WithCancel(t.Context())
		var seen []string
		entered, goOn := make(chan struct{}, 1), make(chan struct{})
		var watching sync.WaitGroup
		watching.Go(func() {
			c.Watch(ctx, func(v *hotlist.View) {
				seen = append(seen, show(v))
				entered <- struct{}{}
				<-goOn
			})
		})
		synctest.Wait()
		hot := func(id int64) {
			data, err := json.Marshal(hotlist.Hot{Generation: 1, Keys: keys(id, 9)})
			if err != nil {
				t.Error(err)
			}
			zk.tell["hot"](map[string][]byte{"0": data})
		}
		hot(1)
		synctest.Wait()
		zk.tell["pin"](map[string][]byte{"5": []byte("{}")})
		synctest.Wait()
		if len(entered) != 0 {
			t.Error("told before the bans are known")
		}
		zk.tell["ban"](map[string][]byte{"9": []byte("{}")})
		<-entered
		for id := range int64(20) {
			hot(2 + id)
			zk.tell["ban"](map[string][]byte{"9": []byte("{}"), strconv.FormatInt(100+id, 10): []byte("{}")})
		}
		zk.tell["pin"](nil)
		goOn <- struct{}{}
		<-entered
		goOn <- struct{}{}
		synctest.Wait()
		if got, want := fmt.Sprintf("%q", seen), `["1:rule(10) 5:pin(0)" "21:rule(210)"]`; got != want {
			t.Errorf("told %s, want %s", got, want)
		}
		hot(50)
		<-entered
		hot(51) // and the end comes before fn returns: it is not told
		cancel()
		goOn <- struct{}{}
		watching.Wait()
		if got := len(seen); got != 3 {
			t.Errorf("told %q: %d times, want 3", seen, got)
		}
	})
}

// Views are not touched once told: their holder reads them while others are made.
func TestViewsAreImmutable(t *testing.T) {
	e := embeddedEnv(t)
	c, _ := e.client()
	writer, _ := e.client()
	p, _ := e.claim(writer, 1, "hc")
	q, _ := e.claim(writer, 0, "hc")
	type view struct {
		*hotlist.View
		text string // as it was told
	}
	var kept []view
	text := func(v *hotlist.View) string {
		return fmt.Sprint(show(v), v.Lists, slices.Sorted(maps.Keys(v.Pins)), slices.Sorted(maps.Keys(v.Bans)))
	}
	check := func(v view) {
		if got := text(v.View); got != v.text {
			t.Errorf("a view was\n%s and is now\n%s", v.text, got)
		}
	}
	newest := make(chan view, 1000)
	newest <- view{&hotlist.View{}, text(&hotlist.View{})}
	var reading sync.WaitGroup
	defer reading.Wait()
	done := make(chan struct{})
	defer close(done)
	reading.Go(func() {
		last := <-newest
		for !closed(done) {
			check(last)
			runtime.Gosched()
			select {
			case last = <-newest:
			default:
			}
		}
	})
	var seen told
	stop := e.during(func(ctx context.Context) {
		c.Watch(ctx, func(v *hotlist.View) {
			now := view{v, text(v)}
			kept = append(kept, now)
			newest <- now
			seen.add(show(v))
		})
	})
	for i := range int64(10) {
		e.must(p.PublishHot(e.ctx(), hotlist.Hot{Published: 100 - i, Keys: keys(50+i, 99)}))
		e.must(q.PublishHot(e.ctx(), hotlist.Hot{Published: 90 + i, Keys: keys(60+i, 99)}))
		e.must(writer.Pin(e.ctx(), 10+i, "me"))
		e.must(writer.Ban(e.ctx(), 20+i, "me"))
	}
	var want []string
	for i := range 10 {
		want = append(want, fmt.Sprintf("%d:pin(0)", 10+i))
	}
	seen.wait(e, strings.Join(append(want, "59:rule(590)", "69:rule(690)", "99:rule(990)"), " "))
	stop()
	for _, v := range kept {
		check(v)
	}
}

func TestWatchTop(t *testing.T) {
	onBoth(t, func(e *env) {
		c, _ := e.client()
		writer, _ := e.client()
		var seen told
		stop := e.during(func(ctx context.Context) {
			c.WatchTop(ctx, func(tops []hotlist.Top) {
				var parts []string
				for _, t := range tops {
					parts = append(parts, fmt.Sprintf("%d@%d%v", t.Partition, t.Offset, t.Keys))
				}
				seen.add(strings.Join(parts, " "))
			})
		})
		seen.wait(e, "")
		q, _ := e.claim(writer, 10, "b")
		p, _ := e.claim(writer, 2, "a")
		e.must(q.PublishTop(e.ctx(), hotlist.Top{Offset: 1, Keys: hotlist.Counts{{7, 5}}}))
		seen.wait(e, "10@1[{7 5}]")
		e.must(p.PublishTop(e.ctx(), hotlist.Top{Offset: 2}))
		seen.wait(e, "2@2[] 10@1[{7 5}]")
		for i := range int64(20) {
			e.must(p.PublishTop(e.ctx(), hotlist.Top{Offset: 3 + i, Keys: hotlist.Counts{{i + 1, 1}}}))
		}
		seen.wait(e, "2@22[{20 1}] 10@1[{7 5}]")
		e.must(writer.TrimPartitions(e.ctx(), 3))
		seen.wait(e, "2@22[{20 1}]")
		stop()
	})
}
