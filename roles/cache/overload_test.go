package cache_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/docapi"
	"eshop/roles/cache"
)

// TestUnknownIDsAreRefused: once too many pulls have ended in 404, ids that Redis
// does not have are refused, whoever asks, and the origin hears of no more than
// the rate. What the heap or Redis has is answered, and in time the rest again
// (PITFALL 12).
func TestUnknownIDsAreRefused(t *testing.T) {
	const rate = 2 // and 20 saved up
	onBoth(t, 2, func(c *cache.Config) { c.UnknownRate = rate }, func(t *testing.T, w *world) {
		w.load(0, product(7))
		w.load(1, product(8))
		ask := func(id int64) error {
			_, err := w.roles[0].Load(t.Context(), docapi.Request{Key: product(id)})
			return err
		}
		begin, answered := time.Now(), 0
		var unavailable *docapi.Unavailable
		for id := int64(100_000); id < 100_300; id++ {
			switch err := ask(id); {
			case err == nil:
				answered++
			case !errors.As(err, &unavailable) || unavailable.RetryAfter < time.Second || !strings.Contains(err.Error(), "do not exist"):
				t.Fatalf("an unknown id: %v", err)
			}
		}
		if most := 21 + rate*int(1+time.Since(begin).Seconds()); answered < 20 || answered > most {
			t.Errorf("%d unknown ids were looked up in %v, from 20 to %d may be", answered, time.Since(begin), most)
		}
		if r, err := w.roles[0].Load(t.Context(), docapi.Request{Key: product(7)}); err != nil || r.Document.State != catalog.Live {
			t.Errorf("what the heap has: %v", err)
		}
		if r, err := w.roles[0].Load(t.Context(), docapi.Request{Key: product(8)}); err != nil || r.Layer != docapi.LayerRedis {
			t.Errorf("what Redis has: %v from %v", err, r.Layer)
		}
		w.until("an id that Redis does not have is looked up again", func() (bool, string) {
			r, err := w.roles[0].Load(t.Context(), docapi.Request{Key: product(9)})
			return err == nil && r.Document.State == catalog.Live, time.Since(begin).String()
		})
	})
}

// A slow origin holds as many reads as its gate lets in and has wait. What Redis
// has is answered meanwhile, and what finds no place is told at once.
func TestSlowOriginHoldsBoundedReads(t *testing.T) {
	onBoth(t, 2, func(c *cache.Config) { c.Origin.Concurrency = 1; c.FillTimeout = 3 * time.Second }, func(t *testing.T, w *world) {
		w.load(1, product(7))
		w.servers.Origin.SetDelay(1500 * time.Millisecond)
		defer w.servers.Origin.SetDelay(0)
		var waiting sync.WaitGroup
		var mu sync.Mutex
		var refused, late int
		for id := int64(100); id < 400; id++ {
			waiting.Go(func() {
				begin := time.Now()
				_, err := w.roles[0].Load(t.Context(), docapi.Request{Key: product(id)})
				var u *docapi.Unavailable
				mu.Lock()
				defer mu.Unlock()
				if err != nil && errors.As(err, &u) {
					refused++
				}
				if time.Since(begin) > 10*time.Second {
					late++
				}
			})
		}
		w.until("what Redis has is served meanwhile", func() (bool, string) { // it may be late where 300 begin at once
			r, err := w.roles[0].Load(t.Context(), docapi.Request{Key: product(7)})
			return err == nil && r.Layer == docapi.LayerRedis, fmt.Sprint(r.Layer, err)
		})
		if w.servers.Origin.Count("product", 7) > 1 {
			t.Error("the origin was asked for it")
		}
		waiting.Wait()
		if late > 0 || refused == 0 {
			t.Errorf("%d of 300 reads were refused, %d of them after more than 10 s", refused, late)
		}
	})
}
