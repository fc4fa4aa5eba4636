package cache_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"eshop/pkg/embedded"
	"eshop/pkg/embedded/origin"
	"eshop/pkg/kafka"
	"eshop/pkg/lab"
)

// BenchmarkPrewarm fills an empty Redis Cluster of real servers with 10,000
// products and their 50 shops, from an origin that takes 5 ms for an answer and
// has a batch form for products, and then once more with all of it there. The
// seconds are those an operator waits, from the command to the end.
func BenchmarkPrewarm(b *testing.B) {
	const n = 10_000
	shopServer, err := origin.Start(b.Context(), origin.Config{}, origin.Deps{})
	if err != nil {
		b.Fatal(err)
	}
	defer shopServer.Close()
	if err := stock(shopServer.URL(), n); err != nil {
		b.Fatal(err)
	}
	shopServer.SetDelay(5 * time.Millisecond)
	var empty, full time.Duration
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		w := newWorldOn(b, embedded.Config{RedisAddrs: lab.Redis(b).Addrs(), Kafka: kafka.Config{Brokers: lab.Kafka(b).Addrs()},
			ZooKeeperServers: lab.ZooKeeper(b).Addrs()}, 0, nil) // keys of its own, so Redis is empty for it
		cfg := w.config(0, shopServer.URL())
		w.start(cfg)
		w.rank(ids(1, n))
		b.StartTimer()
		began := time.Now()
		first := w.warmed(0)
		half := time.Now()
		second := w.warmed(0)
		empty, full = empty+half.Sub(began), full+time.Since(half)
		b.StopTimer()
		if first.Pulled != n || first.Related != 50 || second.Present != n {
			b.Fatalf("not what was to be measured: %s %s", first.body, second.body)
		}
		w.stops[0]()
		b.StartTimer()
	}
	b.ReportMetric(empty.Seconds()/float64(b.N), "s/empty")
	b.ReportMetric(full.Seconds()/float64(b.N), "s/again")
	b.ReportMetric(0, "ns/op")
}

// stock gives the sample origin products up to n, like those it has at first.
func stock(url string, n int64) error {
	var g errgroup.Group
	g.SetLimit(16)
	defer http.DefaultClient.CloseIdleConnections()
	for _, id := range ids(origin.Products+1, n) {
		g.Go(func() error {
			body := fmt.Sprintf(`{"name":"Northwind Aurora lamp %d","price":59.99,"pictureList":"%s","specification":"oak; 40 W; 1.8 m cable","service":"free delivery, 30-day returns","color":"black,white,blue","size":"30 × 40 cm","shopId":%d,"cityId":1,"cityName":"Hangzhou","brandId":1,"brandName":"Northwind"}`,
				id, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("%s/pictures/%d-1.svg,", url, id), 4), ","), (id-1)%origin.Shops+1)
			req, err := http.NewRequest(http.MethodPut, fmt.Sprintf("%s/products/%d", url, id), strings.NewReader(body))
			if err != nil {
				return err
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusCreated {
				return fmt.Errorf("product %d: %s", id, resp.Status)
			}
			return nil
		})
	}
	return g.Wait()
}
