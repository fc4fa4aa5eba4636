package fault_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/lab"
	"eshop/pkg/rediscluster"
)

// someSlot belongs to the first third of the keys.
const someSlot = 100

// writesResume tells how long after the fault every key can be written again.
func writesResume(tr *traffic) {
	began := time.Now()
	lab.Until(tr.t, time.Minute, func(ctx context.Context) error {
		for _, key := range tr.lasting(popular) {
			// Of no version: every copy there refuses it, but only a master that may write can say so.
			doc := catalog.Document{Key: catalog.Key{Kind: "product", ID: key}, State: catalog.Live, Body: []byte("{}"), Stamp: catalog.Stamp{Token: 1}}
			if out, err := tr.w.store.Write(ctx, rediscluster.Put, doc); err != nil {
				return err
			} else if out.Accepted {
				tr.t.Errorf("product %d had no copy in Redis", key)
			}
		}
		return nil
	})
	resumed := time.Since(began)
	tr.t.Logf("every key could be written again %.1f s after the fault", resumed.Seconds())
	if rest := outage() - resumed; rest > 0 {
		<-time.After(rest)
	}
}

// lostWrites has a master acknowledge changes that its replica never gets, kills it, and lets the replica take over: Redis
// has gone back, after the fleet has shown those changes. The cache role finds that by itself and repairs it.
func lostWrites(tr *traffic) {
	w := tr.w
	master := w.redis.Master(someSlot)
	replica := w.redis.Replicas(master)[0]
	for i := range int64(40) {
		tr.extra = append(tr.extra, tr.base+fromExtra+i)
	}
	stored := func(ctx context.Context, key int64) (number int64, err error) {
		doc, err := w.store.Get(ctx, catalog.Key{Kind: "product", ID: key}, rediscluster.FromMaster)
		number, _ = numberOn(string(doc.Body))
		return number, err
	}
	write := func(number int64) {
		for _, key := range tr.extra {
			tr.edit(key, catalog.OpUpdate)
		}
		lab.Until(tr.t, 30*time.Second, func(ctx context.Context) error {
			for _, key := range tr.extra {
				if n, err := stored(ctx, key); err != nil || n != number {
					return fmt.Errorf("product %d is at write %d in Redis: %v", key, n, err)
				}
			}
			return nil
		})
	}
	write(1)
	sent, err := replicated(tr.t.Context(), w.redis, master, "master_repl_offset:")
	if err != nil {
		tr.t.Fatal(err)
	}
	lab.Until(tr.t, 30*time.Second, func(ctx context.Context) error {
		if got, err := replicated(ctx, w.redis, replica, "slave_repl_offset:"); err != nil || got < sent {
			return fmt.Errorf("the replica has %d of %d bytes: %v", got, sent, err)
		}
		return nil
	})
	link := w.redis.Links()[slices.Index(w.redis.Nodes(), master)]
	link.CutFrom(replica.Pid())
	write(2)
	for g := range gateways {
		for _, key := range tr.extra {
			tr.once(tr.t.Context(), g, popular, key)
		}
	}
	repaired := w.inFleet(tr.t.Context(), "eshop_redis_repairs_total")
	master.Kill()
	w.redis.WaitMaster(someSlot, master, 30*time.Second)
	lost := 0
	for _, key := range tr.extra {
		// What cannot be read yet counts for not lost: there are more, or it has been repaired.
		if n, err := stored(tr.t.Context(), key); err == nil && n == 1 {
			lost++
		}
	}
	tr.t.Logf("%d of %d documents have gone back in Redis with the failover, or are still to be repaired", lost, len(tr.extra))
	lab.Until(tr.t, 30*time.Second, func(ctx context.Context) error { // without a request for any of them
		if n := w.inFleet(ctx, "eshop_redis_repairs_total") - repaired; n == 0 || n < float64(lost) {
			return fmt.Errorf("%v repairs of %d lost documents or more", n, lost)
		}
		return nil
	})
	link.Heal()
	master.Restart()
}

// replicated reads a number of bytes from what a node says of its replication.
func replicated(ctx context.Context, c *lab.RedisCluster, node *lab.Node, field string) (int64, error) {
	text, err := c.Do(ctx, node, "INFO", "replication")
	if err != nil {
		return 0, fmt.Errorf("ask a node of its replication: %w", err)
	}
	_, rest, ok := strings.Cut(text, field)
	line, _, _ := strings.Cut(rest, "\r\n")
	if !ok {
		return 0, fmt.Errorf("a node does not say %s", field)
	}
	return strconv.ParseInt(line, 10, 64)
}
