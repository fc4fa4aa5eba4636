package traffic_test

import (
	"context"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/traffic"
)

// Requests are as many as the rate says however long it goes on, evenly spread,
// whatever time the server takes; and they are Zipf-distributed.
func TestPace(t *testing.T) {
	for _, rate := range []float64{0.7, 123.4, 1000} {
		synctest.Test(t, func(t *testing.T) {
			s := &server{answer: after(7*time.Millisecond, 200)}
			l, stop := start(t, traffic.Config{URL: page, Products: 500, Exponent: 0.9, Rate: rate, HotRate: -1}, s)
			seconds := 30.0
			if rate < 1 {
				seconds = 1000
			}
			time.Sleep(time.Duration(seconds * float64(time.Second)))
			stop()
			if got, want := float64(len(s.at)), rate*seconds; math.Abs(got-want) > 1 {
				t.Errorf("at %v a second: %v requests in %v s, want %v", rate, got, seconds, want)
			}
			for i := range s.at {
				if late := s.at[i].Sub(s.at[0]).Seconds() - float64(i)/rate; math.Abs(late) > 1e-6 {
					t.Fatalf("at %v a second: request %d is %v s off", rate, i, late)
				}
			}
			if st := l.Status(); st.Failures != 0 || int(st.Requests) < len(s.at)-int(rate*0.007)-1 || st.Hot != 0 {
				t.Errorf("at %v a second: %d requests, status %+v", rate, len(s.at), st)
			}
			if rate < 1000 {
				return
			}
			counts := make([]int, 500)
			for _, id := range s.ids {
				counts[id-1]++
			}
			if got, limit := distance(counts, 0.9), 2.23/math.Sqrt(float64(len(s.ids))); got > limit {
				t.Errorf("the distance to the distribution is %.5f, at most %.5f can be chance", got, limit)
			}
		})
	}
}

// One unpopular product after the other is hot for HotFor, none for CoolFor in between.
func TestHotPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: after(2*time.Millisecond, 200)}
		l, stop := start(t, traffic.Config{URL: page, Products: 4, Rate: -1}, s)
		began := time.Now()
		defer stop()
		time.Sleep(4 * time.Second)
		if st := l.Status(); st.Hot != 0 || st.Requests != 0 {
			t.Fatalf("before the first product is hot: %+v", st)
		}
		at, last := began.Add(5*time.Second), int64(0)
		for range 5 {
			time.Sleep(time.Until(at.Add(10 * time.Second)))
			hot := l.Status().Hot
			if hot != 3 && hot != 4 || hot == last {
				t.Fatalf("product %d is hot after %d", hot, last)
			}
			time.Sleep(time.Until(at.Add(45*time.Second - time.Millisecond)))
			if now := l.Status().Hot; now != 0 {
				t.Fatalf("product %d is hot while none should be", now)
			}
			if n, all := s.count(hot, at, at.Add(20*time.Second+time.Millisecond)), s.count(0, at, at.Add(45*time.Second)); n < 3999 || n > 4001 || all != n {
				t.Fatalf("%d requests for the hot product, %d in all, want 4000", n, all)
			}
			at, last = at.Add(45*time.Second), hot
		}
		if st := l.Status(); st.Failures != 0 || int(st.Requests) != len(s.at) { // the end of a phase cuts none off
			t.Errorf("%d requests, status %+v", len(s.at), st)
		}
	})
}

// A server that takes for ever gets no more than 64 requests at a time, and no
// burst when it answers again.
func TestUnderWayIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: after(time.Hour, 200)}
		l, stop := start(t, traffic.Config{URL: page, Rate: 500, HotRate: 500}, s)
		time.Sleep(traffic.RequestTimeout - time.Millisecond)
		synctest.Wait()
		if st := l.Status(); st.UnderWay != traffic.MaxUnderWay || s.most != traffic.MaxUnderWay || st.Requests != 0 {
			t.Errorf("%d requests at a time, status %+v", s.most, st)
		}
		s.turn(after(time.Millisecond, 200))
		time.Sleep(traffic.RequestTimeout + traffic.LastPause)
		at := time.Now()
		time.Sleep(10 * time.Second)
		for from := at; from.Before(at.Add(10 * time.Second)); from = from.Add(100 * time.Millisecond) {
			if n := s.count(0, from, from.Add(100*time.Millisecond)); n < 50 || n > 151 { // two streams, each up to 50 ms late
				t.Fatalf("%d requests in 100 ms", n)
			}
		}
		stop()
		if s.most > traffic.MaxUnderWay {
			t.Errorf("%d requests at a time", s.most)
		}
	})
}

// While the server fails it gets few requests, fewer and fewer; when it works
// again the rate is back within the longest pause, without a burst.
func TestBacksOff(t *testing.T) {
	for name, failing := range map[string]func(context.Context, int64) int{
		"refused": func(context.Context, int64) int { return 0 },
		"500":     func(context.Context, int64) int { return 500 },
		"slowly":  after(300*time.Millisecond, 503),
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &server{answer: failing}
			l, stop := start(t, traffic.Config{URL: page, Rate: 100, HotRate: -1}, s)
			began := time.Now()
			time.Sleep(60 * time.Second)
			// 0.1, 0.2, … 3.2, then 5 s: 17 pauses; a slow failure lets through what is due until it shows.
			limit := 20
			if name == "slowly" {
				limit *= 31
			}
			if n := s.count(0, began, time.Now()); n < 15 || n > limit {
				t.Errorf("%s: %d requests in a minute, at most %d are polite", name, n, limit)
			}
			if st := l.Status(); st.Failures != st.Requests || st.Failures == 0 {
				t.Errorf("%s: %+v", name, st)
			}
			s.turn(after(time.Millisecond, 200))
			time.Sleep(traffic.LastPause + time.Second)
			at := time.Now()
			time.Sleep(10 * time.Second)
			if n := s.count(0, at, time.Now()); n < 999 || n > 1001 {
				t.Errorf("%s: %d requests in 10 s after it, want 1000", name, n)
			}
			for from := began; from.Before(at); from = from.Add(100 * time.Millisecond) {
				if n := s.count(0, from, from.Add(100*time.Millisecond)); n > 16 { // what is due, and what was up to 50 ms late
					t.Fatalf("%s: %d requests in 100 ms", name, n)
				}
			}
			stop()
		})
	}
}

// A failure now and then costs a short pause only.
func TestSingleFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		s := &server{answer: func(context.Context, int64) int {
			if n.Add(1)%100 == 0 {
				return 500
			}
			return 404 // a product that does not exist is no failure
		}}
		l, stop := start(t, traffic.Config{URL: page, Rate: 100, HotRate: -1}, s)
		time.Sleep(100 * time.Second)
		stop()
		if st := l.Status(); st.Requests < 9000 || st.Failures != st.Requests/100 {
			t.Errorf("%+v", st)
		}
	})
}

// Many requests that fail together are one failure.
func TestFailuresOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: after(500*time.Millisecond, 500)}
		l, stop := start(t, traffic.Config{URL: page, Rate: 100, HotRate: -1}, s)
		time.Sleep(400 * time.Millisecond)
		s.turn(after(time.Millisecond, 200))
		time.Sleep(400 * time.Millisecond) // until the 40 of before have failed
		at, failed := time.Now(), l.Status().Failures
		time.Sleep(700 * time.Millisecond)
		if n := s.count(0, at, time.Now()); failed < 20 || n < 60 {
			t.Errorf("%d requests in 700 ms after %d failures", n, failed)
		}
		stop()
	})
}

// Late answers to requests of before the first failure do not make the pauses short again.
func TestLateAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: after(2*time.Second, 200)}
		_, stop := start(t, traffic.Config{URL: page, Rate: 20, HotRate: -1}, s)
		time.Sleep(2 * time.Second)
		s.turn(after(0, 500))
		at := time.Now()
		time.Sleep(2 * time.Second)                 // in which the 40 of before are answered
		if n := s.count(0, at, time.Now()); n > 6 { // at 0, 0.1, 0.3, 0.7 and 1.5 s
			t.Errorf("%d requests in 2 s to a server that fails", n)
		}
		stop()
	})
}

// Run returns at once, whatever it was about to do.
func TestStops(t *testing.T) {
	for name, answer := range map[string]func(context.Context, int64) int{"hanging": after(time.Hour, 200), "failing": after(0, 500), "well": after(time.Millisecond, 200)} {
		for _, when := range []time.Duration{0, time.Second, 6 * time.Second, 30 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				l, stop := start(t, traffic.Config{URL: page}, &server{answer: answer})
				time.Sleep(when)
				failures := l.Status().Failures
				if took := stop(); took != 0 {
					t.Errorf("%s, after %v: Run took %v to return", name, when, took)
				}
				if now := l.Status().Failures; now != failures {
					t.Errorf("%s, after %v: the end counts as %d failures", name, when, now-failures)
				}
			})
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		cfg  traffic.Config
		want []string
	}{
		{traffic.Config{}, []string{"no %d"}},
		{traffic.Config{URL: "http://shop/product"}, []string{"no %d"}},
		{traffic.Config{URL: "shop/%d"}, []string{"not an http"}},
		{traffic.Config{URL: "ftp://shop/%d"}, []string{"not an http"}},
		{traffic.Config{URL: "http://shop:x/%d"}, []string{"not an http"}},
		{traffic.Config{URL: page, Products: -1, Exponent: -1, Rate: 1e9, HotRate: math.Inf(1), HotFor: -1}, []string{"number of products", "exponent", "the rate", "the hot rate", "hot for"}},
		{traffic.Config{URL: page, Products: traffic.MaxProducts + 1, Exponent: math.NaN(), Rate: math.NaN(), CoolFor: -1}, []string{"number of products", "exponent", "the rate", "hot for"}},
		{traffic.Config{URL: page, Exponent: 11}, []string{"exponent"}},
	} {
		_, err := traffic.New(c.cfg, traffic.Deps{})
		if err == nil {
			t.Errorf("%+v: no error", c.cfg)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%+v: the error lacks %q: %v", c.cfg, w, err)
			}
		}
	}
	if _, err := traffic.New(traffic.Config{URL: "https://shop/a%20b/%d?x=%zz", Products: traffic.MaxProducts}, traffic.Deps{}); err != nil {
		t.Error(err)
	}
}
