package audit_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/audit"
	"eshop/pkg/catalog"
)

// What Redis says of a copy, and what is done about it.
func TestComparison(t *testing.T) {
	old := catalog.Document{Key: key(1), State: catalog.Live, Stamp: catalog.Stamp{Version: 1}, Body: []byte(`{"old":1}`)}
	newOld := old
	newOld.Body = []byte(`{"old":2}`)
	again := doc(1, 1, 20)
	for name, c := range map[string]struct {
		copy, master catalog.Document
		outcome      string
		held         bool // the copy stays
		repaired     int
	}{
		"the same":                            {doc(1, 1, 10), doc(1, 1, 10), "same", true, 0},
		"nothing in Redis":                    {doc(1, 1, 10), catalog.Document{}, "missing", true, 0},
		"the same content pulled again":       {doc(1, 1, 10), again, "same", true, 0},
		"a later version":                     {doc(1, 1, 10), doc(1, 2, 20), "stale", false, 0},
		"a deletion":                          {doc(1, 1, 10), gone(1, 1, 20), "stale", false, 0},
		"a deletion that knows no version":    {doc(1, 7, 10), gone(1, 0, 20), "stale", false, 0},
		"an earlier version":                  {doc(1, 2, 20), doc(1, 1, 10), "lost", true, 1},
		"the same content of an earlier pull": {again, doc(1, 1, 10), "lost", true, 1},
		"a lost deletion":                     {gone(1, 1, 20), doc(1, 1, 10), "lost", true, 1},
		"another string of the old system":    {old, newOld, "stale", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, audit.Config{Rate: 1})
				s.heap[key(1)], s.master[key(1)] = c.copy, c.master
				if c.master.State == catalog.Absent {
					delete(s.master, key(1))
				}
				stop := s.run()
				time.Sleep(1500 * time.Millisecond)
				stop()
				if got := s.value("eshop_audited_total", "against=redis", "outcome="+c.outcome); got != 1 {
					t.Errorf("%v copies are %s, want 1", got, c.outcome)
				}
				if _, held := s.heap[key(1)]; held != c.held || len(s.repaired) != c.repaired {
					t.Errorf("the copy stays: %v, repaired: %v; want %v, %d", held, s.repaired, c.held, c.repaired)
				}
				if n := s.violations(); n != 0 {
					t.Errorf("%v violations, want 0", n)
				}
			})
		})
	}
}

// A copy that the bus forgot is found, measured from when the later document was
// pulled, and ended; the floor rises with it. One that the bus ends while Redis is
// read is not stale.
func TestStaleCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, audit.Config{Rate: 5})
		s.heap[key(1)], s.heap[key(2)] = doc(1, 1, 10), doc(2, 1, 10)
		time.Sleep(time.Minute)
		s.master[key(1)], s.master[key(2)] = doc(1, 2, 20), doc(2, 2, 20)
		time.Sleep(90 * time.Second)
		s.reading = func() { s.Changed(catalog.Invalidation{Key: key(2), Stamp: catalog.Stamp{Version: 2, Token: 20}}) }
		s.run()
		time.Sleep(20 * time.Second)
		if n, sum := s.value("eshop_staleness_seconds", "layer=document", "against=redis"), s.seconds("redis"); n != 1 || sum < 90 || sum > 110 {
			t.Errorf("%v observations of %v s in all, want 1 of about 91 to 110", n, sum)
		}
		if got := s.floor.Of(key(1)); got != (catalog.Stamp{Version: 2, Token: 20}) {
			t.Errorf("the floor is %v, want the later stamp", got)
		}
		text, err := json.Marshal(s.Status())
		if err != nil || !strings.Contains(string(text), `"key":"product/1","layer":"document","against":"redis","age":"1m3`) || !strings.Contains(string(text), `"rate":5`) {
			t.Errorf("the status says %s, %v", text, err)
		}
	})
}

// One copy of OriginShare is compared with the origin; the age counts from the
// version if that is a time since the last pull, else from that pull.
func TestAgainstTheOrigin(t *testing.T) {
	for name, c := range map[string]struct {
		version func(stored catalog.Document) int64
		age     time.Duration
	}{
		"the version is a time":  {func(catalog.Document) int64 { return time.Now().UnixMilli() }, 10 * time.Second},
		"the version is a count": {func(catalog.Document) int64 { return 8 }, 70 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, audit.Config{Rate: 1, OriginShare: 10})
				d := doc(1, 7, 10)
				s.heap[key(1)], s.master[key(1)] = d, d
				time.Sleep(time.Minute)
				s.origin[key(1)] = doc(1, c.version(d), 30)
				stop := s.run()
				time.Sleep(9500 * time.Millisecond)
				s.do(func() {
					if s.pulls != 0 {
						t.Errorf("%d pulls for 9 copies, want none", s.pulls)
					}
				})
				time.Sleep(time.Second)
				stop()
				if n, sum := s.value("eshop_staleness_seconds", "against=origin"), s.seconds("origin"); n != 1 || sum < c.age.Seconds()-1 || sum > c.age.Seconds()+1 {
					t.Errorf("%v observations of %v s, want 1 of %v", n, sum, c.age)
				}
				if len(s.heap) != 0 {
					t.Error("the stale copy stays")
				}
			})
		})
	}
}

// While Redis is away the auditor is too, and says so; the origin likewise.
func TestPausesWhileServersAreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, audit.Config{Rate: 10, OriginShare: 1})
		d := doc(1, 1, 10)
		s.heap[key(1)], s.master[key(1)], s.down = d, d, true
		s.run()
		time.Sleep(10 * time.Minute)
		s.do(func() {
			if s.calls > 30 {
				t.Errorf("%d reads in ten minutes of a Redis that is away, want at most 30", s.calls)
			}
			s.down, s.calls = false, 0
		})
		if text, _ := json.Marshal(s.Status()); !strings.Contains(string(text), "connection refused") {
			t.Errorf("the status does not say what it waits for: %s", text)
		}
		time.Sleep(5 * time.Minute)
		s.do(func() {
			if s.calls < 200 {
				t.Errorf("%d reads in five minutes of a Redis that is back, want about 270", s.calls)
			}
			if s.pulls > 12 {
				t.Errorf("%d pulls from an origin that is away, want at most 12", s.pulls)
			}
		})
	})
}

func TestOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, audit.Config{Rate: -1})
		s.heap[key(1)] = doc(1, 1, 10)
		s.run()
		time.Sleep(time.Hour)
		if s.calls != 0 {
			t.Errorf("%d reads although it is off", s.calls)
		}
		if _, err := audit.New(audit.Config{Rate: 20_000}, audit.Deps{}); err == nil || !strings.Contains(err.Error(), "20000") {
			t.Errorf("a rate above the bound: %v", err)
		}
	})
}

// Invariant 3 is violated by a copy that is served below the floor for three
// looks; in the moment between a raised floor and the end of the copy it is not.
func TestInvariant3ServedBelowTheFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, audit.Config{Rate: 20})
		for id := int64(1); id <= 2; id++ { // Redis lost both changes, so they are not stale against it
			s.heap[key(id)], s.master[key(id)] = doc(id, 1, 10), doc(id, 1, 10)
			s.floor.Raise(key(id), catalog.Stamp{Version: 2, Token: 20})
		}
		stop := s.run()
		time.Sleep(1100 * time.Millisecond) // one look
		s.Changed(catalog.Invalidation{Key: key(1), Stamp: catalog.Stamp{Version: 2, Token: 20}})
		time.Sleep(5 * time.Second)
		stop()
		if n, all := s.value("eshop_consistency_violations_total", "invariant=3"), s.violations(); n != 1 || all != 1 {
			t.Errorf("%v violations of invariant 3 of %v, want 1 of 1", n, all)
		}
		if len(s.heap) != 0 {
			t.Errorf("still served: %v", s.heap)
		}
	})
}
