package hotlist_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"eshop/pkg/hotlist"
	"eshop/pkg/zookeeper"
)

func TestClaimAndPublish(t *testing.T) {
	onBoth(t, func(e *env) {
		c, _ := e.client()
		a, former := e.claim(c, 3, "hc-1")
		if !reflect.DeepEqual(former, hotlist.Hot{}) {
			e.Errorf("the first claim found %+v", former)
		}
		sent := hotlist.Hot{Partition: 99, Generation: 99, Holder: "somebody else", Offset: 17, Watermark: 1_700_000_000_123, Published: 1_700_000_000_456, Keys: keys(7, 9)}
		sent.Keys[0].Reason = ""
		e.must(a.PublishHot(e.ctx(), sent))
		top := hotlist.Top{Offset: 17, Watermark: 5, Span: 10_000, Total: 1000, Distinct: 3, Rate: 100.5, Lag: 2, Keys: hotlist.Counts{{7, 70}, {math.MaxInt64, 2}}}
		before := time.Now().UnixMilli()
		e.must(a.PublishTop(e.ctx(), top))

		b, former := e.claim(c, 3, "hc-2")
		want := hotlist.Hot{Partition: 3, Generation: a.Generation(), Holder: "hc-1", Offset: 17, Watermark: 1_700_000_000_123, Published: 1_700_000_000_456, Keys: keys(7, 9)}
		if !reflect.DeepEqual(former, want) {
			e.Errorf("the second claim found\n%+v, want\n%+v", former, want)
		}
		if b.Generation() <= a.Generation() {
			e.Errorf("generations %d and %d do not rise", a.Generation(), b.Generation())
		}
		tops, err := c.ReadTops(e.ctx())
		e.must(err)
		if len(tops) != 1 || tops[0].Published < before {
			e.Fatalf("read the top lists %+v, published at %d or later", tops, before)
		}
		top.Partition, top.Generation, top.Holder, top.Published = 3, a.Generation(), "hc-1", tops[0].Published
		if !reflect.DeepEqual(tops[0], top) {
			e.Errorf("read the top list\n%+v, want\n%+v", tops[0], top)
		}
		v, err := c.ReadView(e.ctx())
		e.must(err)
		if len(v.Lists) != 1 || !reflect.DeepEqual(v.Lists[0], want) {
			e.Errorf("read the lists\n%+v, want\n%+v", v.Lists, want)
		}
	})
}

// PITFALLS 28, 39: a former holder that was paused goes on as if nothing had
// happened. It must not overwrite its successor, whether or not it has written
// before, and whichever of the lists it tries.
func TestFormerHolderIsRefused28_39(t *testing.T) {
	onBoth(t, func(e *env) {
		s := e.session()
		c, _ := clientOn(s)
		other, _ := e.client() // another process
		for partition, wrote := range []bool{true, false} {
			old, _ := e.claim(c, int32(partition), "old")
			if wrote {
				e.must(old.PublishHot(e.ctx(), hotlist.Hot{Keys: keys(1)}))
				e.must(old.PublishTop(e.ctx(), hotlist.Top{}))
			}
			heir, _ := e.claim(other, int32(partition), "new")
			if wrote { // the old one is not stopped before the new one has written
				e.must(old.PublishHot(e.ctx(), hotlist.Hot{Keys: keys(2)}))
			}
			e.must(heir.PublishHot(e.ctx(), hotlist.Hot{Keys: keys(3)}))
			for range 2 {
				if err := old.PublishHot(e.ctx(), hotlist.Hot{Keys: keys(4)}); !errors.Is(err, hotlist.ErrSuperseded) {
					e.Errorf("the former holder's list: got %v, want ErrSuperseded", err)
				}
				if err := old.PublishTop(e.ctx(), hotlist.Top{}); !errors.Is(err, hotlist.ErrSuperseded) {
					e.Errorf("the former holder's top list: got %v, want ErrSuperseded", err)
				}
			}
			e.must(heir.PublishTop(e.ctx(), hotlist.Top{}))
			v, err := c.ReadView(e.ctx())
			e.must(err)
			if l := v.Lists[partition]; l.Generation != heir.Generation() || l.Keys[0].ID != 3 {
				e.Errorf("the list is %+v, want the successor's", l)
			}
			e.must(heir.PublishHot(e.ctx(), hotlist.Hot{Keys: keys(5)}))
		}
	})
}

// A claim that comes after a later one has written is told so.
func TestClaimFindsItsSuccessor(t *testing.T) {
	onBoth(t, func(e *env) {
		s := e.session()
		between := &faults{Session: s}
		slow, _ := clientOn(between)
		quick, _ := e.client()
		between.get = func(context.Context, string) { // after the slow one took its token
			between.get = nil
			p, _ := e.claim(quick, 0, "quick")
			e.must(p.PublishHot(e.ctx(), hotlist.Hot{}))
			for ctx := e.ctx(); ; { // the slow one's server may be behind the quick one's
				data, _, err := s.Get(ctx, "hot/0")
				if bytes.Contains(data, []byte("quick")) {
					return
				}
				if ctx.Err() != nil {
					e.Fatalf("the slow one's server has %q, %v", data, err)
				}
			}
		}
		if _, _, err := slow.Claim(e.ctx(), 0, "slow"); !errors.Is(err, hotlist.ErrSuperseded) || !strings.Contains(err.Error(), "quick") {
			e.Errorf("claim: got %v, want ErrSuperseded by quick", err)
		}
	})
}

// What nobody can read is nobody's: it is taken over, and said so. A generation
// in a form that this version does not read in full still fences.
func TestUnreadableNodes(t *testing.T) {
	onBoth(t, func(e *env) {
		s := e.session()
		c, log := clientOn(s)
		for _, data := range []string{"", "null", "[]", "{", `{"partition":0}`, `{"partition":1,"generation":1}`, `{"generation":"1"}`} {
			e.put(s, "hot/0", data)
			before := log.count("unreadable")
			p, former := e.claim(c, 0, "hc")
			if !reflect.DeepEqual(former, hotlist.Hot{}) || log.count("unreadable") != before+1 {
				e.Errorf("%q: found %+v, %d lines in the log, want nothing and one", data, former, log.count("unreadable")-before)
			}
			e.must(p.PublishHot(e.ctx(), hotlist.Hot{}))
		}
		p, _ := e.claim(c, 0, "hc")
		e.put(s, "hot/0", `{"partition":0,"generation":9223372036854775807,"holder":"future","keys":{"7":"a later form"}}`)
		if err := p.PublishHot(e.ctx(), hotlist.Hot{}); !errors.Is(err, hotlist.ErrSuperseded) {
			e.Errorf("publish over a later form: got %v, want ErrSuperseded", err)
		}
	})
}

// The nodes of a live holder are deleted by mistake: the next list is written
// anew. A former holder that comes first is replaced by it.
func TestDeletedNodesComeBack(t *testing.T) {
	onBoth(t, func(e *env) {
		s := e.session()
		c, _ := clientOn(s)
		old, _ := e.claim(c, 0, "old")
		e.must(old.PublishHot(e.ctx(), hotlist.Hot{}))
		heir, _ := e.claim(c, 0, "new")
		e.must(heir.PublishHot(e.ctx(), hotlist.Hot{}))
		e.must(s.Delete(e.ctx(), "hot/0", -1))
		e.must(old.PublishHot(e.ctx(), hotlist.Hot{})) // it cannot know
		e.must(heir.PublishHot(e.ctx(), hotlist.Hot{Keys: keys(3)}))
		if err := old.PublishHot(e.ctx(), hotlist.Hot{}); !errors.Is(err, hotlist.ErrSuperseded) {
			e.Errorf("the former holder's list: got %v, want ErrSuperseded", err)
		}
		e.must(s.Delete(e.ctx(), "hot/0", -1))
		e.must(heir.PublishHot(e.ctx(), hotlist.Hot{Keys: keys(4)}))
		if _, former := e.claim(c, 0, "third"); former.Generation != heir.Generation() || former.Keys[0].ID != 4 {
			e.Errorf("the list is %+v, want the holder's", former)
		}
	})
}

// The largest lists fit a real ensemble's limit; larger ones are refused here.
func TestSizes(t *testing.T) {
	onBoth(t, func(e *env) {
		c, _ := e.client()
		p, _ := e.claim(c, 0, strings.Repeat("é", hotlist.MaxHolder/2))
		full := hotlist.Hot{}
		for i := range int64(hotlist.MaxHot) {
			full.Keys = append(full.Keys, hotlist.Key{ID: math.MaxInt64 - i, Count: math.MaxInt64, Since: math.MaxInt64})
		}
		e.must(p.PublishHot(e.ctx(), full))
		top := hotlist.Top{Offset: math.MaxInt64, Watermark: math.MaxInt64, Total: math.MaxInt64, Lag: math.MaxInt64, Rate: math.MaxFloat64}
		for i := range int64(hotlist.MaxTop) {
			top.Keys = append(top.Keys, hotlist.Count{ID: math.MaxInt64 - i, N: math.MaxInt64})
		}
		e.must(p.PublishTop(e.ctx(), top))

		full.Keys = append(full.Keys, hotlist.Key{ID: 1})
		if err := p.PublishHot(e.ctx(), full); !errors.Is(err, hotlist.ErrTooLarge) || !strings.Contains(err.Error(), "1001 hot keys, at most 1000") {
			e.Errorf("too many hot keys: got %v", err)
		}
		for len(top.Keys) < 30_000 {
			top.Keys = append(top.Keys, top.Keys[0])
		}
		if err := p.PublishTop(e.ctx(), top); !errors.Is(err, hotlist.ErrTooLarge) || !strings.Contains(err.Error(), "at most 921600 are allowed") {
			e.Errorf("a long top list: got %v", err)
		}
		for _, bad := range []hotlist.Key{{ID: 0}, {ID: -1}, {ID: 1, Count: -1}} {
			if err := p.PublishHot(e.ctx(), hotlist.Hot{Keys: []hotlist.Key{bad}}); err == nil {
				e.Errorf("the key %+v was published", bad)
			}
			if err := p.PublishTop(e.ctx(), hotlist.Top{Keys: hotlist.Counts{{bad.ID, bad.Count}}}); err == nil {
				e.Errorf("the top key %+v was published", bad)
			}
		}
		if err := p.PublishTop(e.ctx(), hotlist.Top{Rate: math.NaN()}); err == nil {
			e.Error("a rate that is no number was published")
		}
		for _, holder := range []string{"", strings.Repeat("x", hotlist.MaxHolder+1)} {
			if _, _, err := c.Claim(e.ctx(), 0, holder); err == nil {
				e.Errorf("%.10q may hold a partition", holder)
			}
		}
		if _, _, err := c.Claim(e.ctx(), -1, "hc"); err == nil {
			e.Error("partition -1 can be claimed")
		}
	})
}

// The form of the nodes, as it is written down for others.
func TestNodesForm(t *testing.T) {
	e := embeddedEnv(t)
	s := e.session()
	c, _ := clientOn(s)
	p, _ := e.claim(c, 1, "hc-1")
	e.must(p.PublishHot(e.ctx(), hotlist.Hot{Offset: 4, Watermark: 5, Published: 6, Keys: keys(7)}))
	e.must(p.PublishTop(e.ctx(), hotlist.Top{Offset: 4, Watermark: 5, Published: 6, Span: 10_000, Total: 8, Distinct: 2, Rate: 0.8, Lag: 1, Keys: hotlist.Counts{{7, 5}, {9, 3}}}))
	q, _ := e.claim(c, 2, "hc-1")
	e.must(q.PublishHot(e.ctx(), hotlist.Hot{Published: 6}))
	e.must(q.PublishTop(e.ctx(), hotlist.Top{Published: 6}))
	e.must(c.PutRule(e.ctx(), hotlist.DefaultRule()))
	for path, want := range map[string]string{
		"hot/1": `{"partition":1,"generation":N,"holder":"hc-1","offset":4,"watermark":5,"published":6,"keys":[{"id":7,"count":70,"since":1700000000007,"reason":"rule"}]}`,
		"top/1": `{"partition":1,"generation":N,"holder":"hc-1","offset":4,"watermark":5,"published":6,"span":10000,"total":8,"distinct":2,"rate":0.8,"lag":1,"keys":[[7,5],[9,3]]}`,
		"hot/2": `{"partition":2,"generation":N,"holder":"hc-1","offset":0,"watermark":0,"published":6,"keys":[]}`,
		"top/2": `{"partition":2,"generation":N,"holder":"hc-1","offset":0,"watermark":0,"published":6,"span":0,"total":0,"distinct":0,"rate":0,"lag":0,"keys":[]}`,
		"rule":  `{"floor":200,"factor":10,"cool":0.5,"hold":"5s","window":"10s","top":2000,"max":256}`,
	} {
		data, _, err := s.Get(e.ctx(), path)
		e.must(err)
		var head struct{ Generation json.Number }
		e.must(json.Unmarshal(data, &head))
		if got := strings.Replace(string(data), ":"+head.Generation.String()+",", ":N,", 1); got != want {
			t.Errorf("%s is\n%s, want\n%s", path, got, want)
		}
	}
}

// A publish whose context ends while ZooKeeper does not answer returns then, and
// the next one settles what became of it.
func TestPublishEndsWithItsContext(t *testing.T) {
	onBoth(t, func(e *env) {
		s := &faults{Session: e.session()}
		c, _ := clientOn(s)
		p, _ := e.claim(c, 0, "hc")
		for _, sent := range []bool{true, false} {
			ctx, cancel := context.WithCancel(e.ctx())
			s.set = func(write func() error) error {
				s.set = nil
				if sent {
					e.must(write())
				}
				cancel()
				return errors.Join(zookeeper.ErrUnknownOutcome, context.Canceled)
			}
			if err := p.PublishHot(ctx, hotlist.Hot{Keys: keys(1)}); !errors.Is(err, context.Canceled) {
				e.Errorf("sent %v: got %v, want the end of the context", sent, err)
			}
			e.must(p.PublishHot(e.ctx(), hotlist.Hot{Keys: keys(2)}))
			v, err := c.ReadView(e.ctx())
			e.must(err)
			if v.Lists[0].Keys[0].ID != 2 {
				e.Errorf("sent %v: the list is %+v", sent, v.Lists[0])
			}
		}
	})
}

// faults is a session whose requests meet what a test says.
type faults struct {
	hotlist.Session
	get func(ctx context.Context, path string)
	set func(write func() error) error // Set and Create
}

func (f *faults) Get(ctx context.Context, path string) ([]byte, int32, error) {
	if f.get != nil {
		f.get(ctx, path)
	}
	return f.Session.Get(ctx, path)
}

func (f *faults) Set(ctx context.Context, path string, data []byte, version int32) (now int32, err error) {
	write := func() error { now, err = f.Session.Set(ctx, path, data, version); return err }
	if f.set != nil {
		err = f.set(write)
	} else {
		err = write()
	}
	return now, err
}

func (f *faults) Create(ctx context.Context, path string, data []byte) error {
	write := func() error { return f.Session.Create(ctx, path, data) }
	if f.set != nil {
		return f.set(write)
	}
	return write()
}
