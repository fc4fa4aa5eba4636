package fault_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/IBM/sarama"

	"eshop/pkg/catalog"
	"eshop/pkg/rediscluster"
)

// normal waits until, with nobody changing anything any more, everything is as it should be — rules (c) and (d) —
// and returns how long that took.
func (tr *traffic) normal(since time.Time, limit time.Duration) time.Duration {
	tr.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for {
		err := tr.settled(ctx)
		if err == nil {
			return time.Since(since)
		}
		select {
		case <-ctx.Done():
			tr.t.Errorf("not as it should be %v after healing: %v", limit, err)
			return time.Since(since)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// settled says what is not yet as it should be: every page at every gateway, unmarked, every document in Redis and at
// every cache process equal to the origin's; every message committed; every process ready.
func (tr *traffic) settled(ctx context.Context) error {
	w := tr.w
	for _, m := range w.members() {
		if status, body, _, err := w.get(ctx, "http://"+m.admin+"/-/ready"); err != nil || status != http.StatusOK {
			return fmt.Errorf("%s is not ready: %.300s %v", m.name, body, err)
		}
	}
	if err := w.committed(); err != nil {
		return err
	}
	for _, c := range []class{popular, hot, forced, recast} {
		for _, key := range tr.lasting(c) {
			if err := w.equal(ctx, key); err != nil {
				return fmt.Errorf("%v: %w", c, err)
			}
		}
	}
	for _, key := range tr.extra {
		if err := w.equal(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// equal compares all copies of a product with the origin's.
func (w *world) equal(ctx context.Context, key int64) error {
	want, _, gone := w.shop.state(key)
	is := func(where string, status int, body string) error {
		n, ok := numberOn(body)
		if gone && status == http.StatusNotFound || !gone && status == http.StatusOK && ok && n == want {
			return nil
		}
		return fmt.Errorf("product %d at %s: status %d, write %d; the origin has write %d (gone: %t)", key, where, status, n, want, gone)
	}
	for _, g := range w.gateways {
		status, body, header, err := w.get(ctx, fmt.Sprintf("http://%s/product?productId=%d", g.addr, key))
		if err == nil {
			err = is(g.name, status, body)
		}
		if err == nil && marked(header) {
			err = fmt.Errorf("product %d at %s is marked as stale", key, g.name)
		}
		if err != nil {
			return err
		}
	}
	for _, c := range w.caches {
		status, body, _, err := w.get(ctx, fmt.Sprintf("http://%s/v1/doc/product/%d", c.addr, key))
		if err == nil {
			err = is(c.name, status, body)
		}
		if err != nil {
			return err
		}
	}
	doc, err := w.store.Get(ctx, catalog.Key{Kind: "product", ID: key}, rediscluster.FromMaster)
	if err != nil {
		return err
	}
	if want == 0 && doc.State == catalog.Absent {
		return nil // never written: whoever wants it finds it at the origin
	}
	status := http.StatusNotFound
	if doc.State == catalog.Live {
		status = http.StatusOK
	}
	return is("redis", status, string(doc.Body))
}

// committed says whether the cache role has committed every message, and that none is in the dead letters.
func (w *world) committed() error {
	partitions := make([]int32, partitionsChange)
	for p := range partitions {
		partitions[p] = int32(p)
	}
	topic := w.topic("change")
	have, err := w.admin.ListConsumerGroupOffsets(w.topic("group"), map[string][]int32{topic: partitions})
	if err != nil {
		return errors.Join(err, w.offsets.RefreshCoordinator(w.topic("group")))
	}
	for _, p := range partitions {
		end, err := w.offsets.GetOffset(topic, p, sarama.OffsetNewest)
		if err != nil {
			return errors.Join(err, w.offsets.RefreshMetadata(topic))
		}
		if b := have.GetBlock(topic, p); end > 0 && b == nil {
			return fmt.Errorf("nothing of partition %d of the changes is committed", p)
		} else if end > 0 && b.Offset != end {
			return fmt.Errorf("partition %d of the changes is committed up to %d of %d", p, b.Offset, end)
		}
	}
	dead, err := w.offsets.GetOffset(w.topic("dead"), 0, sarama.OffsetNewest)
	if err == nil && dead > w.dead {
		err = fmt.Errorf("%d messages are in the dead letters", dead-w.dead)
	}
	return err
}
