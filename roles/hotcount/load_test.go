package hotcount

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"eshop/pkg/accesslog"
	"eshop/pkg/kafka"
)

// load writes to a world's topic as two gateways and some foreign producers do.
type load struct {
	w        *world
	rng      *rand.Rand
	zipf     *rand.Zipf
	products uint64
	sequence [2][]uint64 // by gateway and partition
	hits     atomic.Int64
	records  atomic.Int64
}

func (w *world) load(products uint64) *load {
	rng := rand.New(rand.NewPCG(1, 2))
	l := &load{w: w, rng: rng, products: products, zipf: rand.NewZipf(rng, 1.2, 2, products-1)}
	for g := range l.sequence {
		l.sequence[g] = make([]uint64, w.partitions)
	}
	return l
}

// run writes until ctx ends: each 10 ms a flush of counts and some records of
// single requests, about 4,000 hits a second in all.
func (l *load) run(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		l.flush(l.rng.IntN(2), 30)
		for range 5 {
			l.single()
		}
	}
}

func (l *load) product() int64 { return 1 + int64(l.zipf.Uint64()) }

// flush writes one gateway's counts of n hits, one record a partition.
func (l *load) flush(gateway, n int) {
	parts := make([]map[int64]int64, l.w.partitions)
	for range n {
		id := l.product()
		p := accesslog.Partition(id, l.w.partitions)
		if parts[p] == nil {
			parts[p] = map[int64]int64{}
		}
		parts[p][id]++
	}
	l.hits.Add(int64(n))
	for p, counts := range parts {
		if counts == nil {
			continue
		}
		l.sequence[gateway][p]++
		c := accesslog.Counts{Gateway: fmt.Sprintf("gw-%d", gateway), Boot: 1, Sequence: l.sequence[gateway][p], Time: time.Now().UnixMilli()}
		for _, id := range sortedIDs(counts) {
			c.Counts = append(c.Counts, accesslog.Count{ID: id, N: counts[id]})
		}
		value := accesslog.AppendCounts(nil, &c)
		l.write(c.Counts[0].ID, value, time.Now())
		if l.rng.IntN(50) == 0 { // written again by a producer that got no answer
			l.write(c.Counts[0].ID, value, time.Now())
		}
	}
}

// single writes one record of one request, in one of the shapes, now and then
// one that is of no use.
func (l *load) single() {
	id, at := l.product(), time.Now()
	text := strconv.FormatInt(id, 10)
	var value []byte
	switch l.rng.IntN(8) {
	case 0, 1, 2:
		value = accesslog.AppendRequest(nil, &accesslog.Request{ID: id, Method: []byte("GET"), Target: []byte("/product?productId=" + text + "&shopId=1"), HTTPVersion: []byte("HTTP/1.1"),
			Head: []byte("Host: shop\r\n"), Weight: 1 + l.rng.Int64N(3)}, accesslog.NewRedaction())
	case 3:
		value = []byte(`{"headers":{},"uri_args":{"productId":"` + text + `","shopId":"1"},"http_version":1.1,"method":"GET","raw_reader":"GET \/product?productId=` + text + ` HTTP\/1.1\r\n\r\n"}`)
	case 4:
		value = []byte(`{ "uri_args" : { "productId" : ` + text + ` } }`)
	case 5:
		value = []byte(`{"uri_args":{"productId":["` + text + `","` + text + `"]},"request_module":"product_detail_info"}`)
	case 6:
		value = []byte(`{"uri_\u0061rgs":{"productId":"` + text + `"}}`)
	default:
		value = slices.Concat([]byte("broken "), []byte(text))
	}
	if l.rng.IntN(20) == 0 {
		at = at.Add(-time.Duration(l.rng.IntN(12000)) * time.Millisecond) // old, some too old
	}
	l.write(id, value, at)
}

func (l *load) write(key int64, value []byte, at time.Time) {
	if !l.w.producer.Offer(kafka.Record{Topic: l.w.name, Key: strconv.AppendInt(nil, key, 10), Value: value, Time: at}) {
		l.w.t.Errorf("a record was dropped: %v", l.w.producer.Dropped())
	}
	l.records.Add(1)
}

// written waits until all that was offered is in the log.
func (w *world) written() {
	w.t.Helper()
	w.until("everything is written", func() error {
		if n := w.producer.Status().Records; n > 0 {
			return fmt.Errorf("%d records are not", n)
		}
		return nil
	})
}
