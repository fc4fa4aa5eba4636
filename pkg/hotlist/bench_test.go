package hotlist_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eshop/pkg/hotlist"
)

func onBothBench(b *testing.B, body func(e *env)) {
	b.Run("embedded", func(b *testing.B) { body(embeddedEnv(b)) })
	b.Run("real", func(b *testing.B) { body(realEnv(b)) })
}

// publishers claims 12 partitions, with 20 hot keys each.
func (e *env) publishers(c *hotlist.Client) ([]*hotlist.Publisher, hotlist.Hot) {
	var list hotlist.Hot
	for i := range int64(20) {
		list.Keys = append(list.Keys, hotlist.Key{ID: 1 + i, Count: 200 + i, Since: 1_700_000_000_000})
	}
	var all []*hotlist.Publisher
	for partition := range int32(12) {
		p, _ := e.claim(c, partition, "hc")
		e.must(p.PublishHot(e.ctx(), list))
		all = append(all, p)
	}
	return all, list
}

// BenchmarkPublishToWatch is the time from the call of PublishHot to the call of
// the fn of the last of three watchers, each in a session of its own.
func BenchmarkPublishToWatch(b *testing.B) {
	onBothBench(b, func(e *env) {
		const watchers = 3
		writer, _ := e.client()
		publishers, list := e.publishers(writer)
		seen := make(chan int64, 1024)
		for range watchers {
			c, _ := e.client()
			e.during(func(ctx context.Context) {
				c.Watch(ctx, func(v *hotlist.View) {
					newest := int64(0)
					for _, l := range v.Lists {
						newest = max(newest, l.Offset)
					}
					seen <- newest
				})
			})
		}
		offset := int64(0)
		publish := func() {
			offset++
			list.Offset = offset
			if err := publishers[offset%12].PublishHot(e.Context(), list); err != nil {
				e.Fatal(err)
			}
			for missing := watchers; missing > 0; {
				if <-seen == offset {
					missing--
				}
			}
		}
		publish() // everybody watches now
		b := e.TB.(*testing.B)
		var times []time.Duration
		b.ResetTimer()
		for b.Loop() {
			began := time.Now()
			publish()
			times = append(times, time.Since(began))
		}
		b.StopTimer()
		slices.Sort(times)
		ms := func(share float64) float64 {
			return times[int(share*float64(len(times)-1))].Seconds() * 1000
		}
		b.ReportMetric(ms(0.5), "p50-ms")
		b.ReportMetric(ms(0.99), "p99-ms")
		b.ReportMetric(ms(1), "max-ms")
	})
}

// BenchmarkPublish is the rate of writes: one publisher after the other, or all
// 12 at a time.
func BenchmarkPublish(b *testing.B) {
	for _, atOnce := range []int{1, 12} {
		b.Run(fmt.Sprintf("publishers=%d", atOnce), func(b *testing.B) {
			onBothBench(b, func(e *env) {
				writer, _ := e.client()
				publishers, list := e.publishers(writer)
				b := e.TB.(*testing.B)
				b.ReportAllocs()
				b.ResetTimer()
				var all sync.WaitGroup
				var offset atomic.Int64
				for i := range atOnce {
					all.Go(func() {
						own := list
						for own.Offset = offset.Add(1); own.Offset <= int64(b.N); own.Offset = offset.Add(1) {
							if err := publishers[i].PublishHot(e.Context(), own); err != nil {
								e.Error(err)
								return
							}
						}
					})
				}
				all.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
			})
		})
	}
}
