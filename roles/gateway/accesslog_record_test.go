package gateway

import (
	"encoding/json"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"eshop/pkg/accesslog"
	"eshop/pkg/catalog"
	"eshop/pkg/kafka"
)

// use gives a rig another access log, with a sink.
func (g *rig) use(log AccessLog, partitions int) *fakeSink {
	g.cfg.AccessLog = log
	if err := g.cfg.complete(); err != nil {
		panic(err)
	}
	g.access = newAccessLog(&g.cfg, g.cat, g.log)
	f := &fakeSink{books: g.access.books, parts: partitions, stuck: map[int32]bool{}}
	g.access.out = f
	return f
}

// Each request on the public listener that names a product counts once, at the
// gateway that received it, however it is answered. Nothing else does.
func TestWhichRequestsCount(t *testing.T) {
	for _, mode := range []string{AccessCounts, AccessFull, AccessOff} {
		t.Run(mode, func(t *testing.T) {
			a, b := pair(t, "gw-2", [2]string{"secret", "secret"})
			logs := map[*rig]*fakeSink{}
			for _, g := range []*rig{a, b} {
				logs[g] = g.use(AccessLog{Mode: mode}, 2)
			}
			want := map[int64]int64{}
			statuses := map[int]int{}
			do := func(g *rig, id int64, target string, headers ...string) {
				statuses[g.get(t, target, headers...).Response.StatusCode()]++
				if id != 0 && g == a {
					want[id]++
				}
			}
			do(a, 7, "/product/7")                                                          // forwarded
			do(a, 7, "/product/7.json")                                                     // in another form
			do(a, 7, "/product?productId=7", "If-None-Match", `"x"`)                        // not matched
			do(a, 7, "/product?productId=%37&shopId=3")                                     // escaped, with its shop
			do(a, 7, "/product/7", "If-None-Match", header(a.get(t, "/product/7"), "Etag")) // 304
			want[7]++                                                                       // the one for its tag
			do(a, 99, "/product/99")                                                        // 404 from the owner
			do(a, 99, "/api/v1/products/99")
			do(a, 99, "/api/v1/products?ids=7,99,7,x") // of a batch each product once
			want[7]++
			a.peers.ring.Store(nil)
			do(a, 7, "/product/7") // loaded
			do(a, 7, "/product/7") // a hit
			do(a, 98, "/product/98")
			do(a, 98, "/product/98") // 404 from a negative entry
			statuses[ask(a.servePublic, "HEAD", "/product/7").Response.StatusCode()]++
			want[7]++
			a.redis.fail(true)
			a.cache.setDown(true)
			do(a, 96, "/product/96") // 503
			do(a, 7, "/product/7")
			statuses[ask(a.servePublic, "POST", "/product/7").Response.StatusCode()]++
			for _, target := range []string{"/", "/product", "/product/x", "/product/7?productId=7", "/product/%zz", "/-/ready"} {
				do(a, 0, target)
			}
			for code, n := range map[int]int{200: 9, 304: 1, 404: 6, 503: 1, 405: 1, 400: 4} {
				if statuses[code] != n {
					t.Errorf("%d answers %d, want %d", statuses[code], code, n)
				}
			}
			if mode == AccessOff {
				want = nil
			}
			for g, f := range logs {
				g.access.counts.flush(noon, true)
				got := logged(t, f.records())
				if g == a && !maps.Equal(got, want) {
					t.Errorf("logged %v, want %v", got, want)
				}
				if g == b && len(got) != 0 {
					t.Errorf("the owner logged %v of what a peer asked", got)
				}
			}
		})
	}
}

// Pages of another root are not told of.
func TestOtherRootsAreNotCounted(t *testing.T) {
	cat, err := catalog.New(nil, []catalog.PageType{
		{Name: "shop", Path: "/shop", Root: "shop", Param: "shopId"},
		{Name: "product", Path: "/product", Root: "product", Param: "productId"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{AccessCounts, AccessFull} {
		g := newRig(t, func(_ *Config, d *Deps) { d.Catalog = cat })
		f := g.use(AccessLog{Mode: mode}, 1)
		for _, target := range []string{"/shop/3", "/shop/3", "/shop/4", "/product/7", "/product/7"} {
			g.get(t, target)
		}
		g.access.counts.flush(noon, true)
		if got := logged(t, f.records()); len(got) != 1 || got[7] != 2 {
			t.Errorf("%s: logged %v, want product 7 twice", mode, got)
		}
	}
}

// served opens a rig's public listener.
func (g *rig) served(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := g.publicServer()
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// What a real client sends arrives in the record; what it would not want told does not.
func TestFullRecordOfARealClient(t *testing.T) {
	g, f := newLogRig(t, AccessLog{Mode: AccessFull, Redact: []string{"X-Session"}}, 4)
	url := "http://" + g.served(t) + "/product?requestPath=product&productId=7&shopId=3&a=%41+b"
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	const secret = "s3cr3t"
	for _, name := range []string{"Cookie", "Authorization", "Proxy-Authorization", "x-session", "X-Forwarded-For", "x-real-ip", "Forwarded"} {
		req.Header.Set(name, "v="+secret)
	}
	req.Header.Add("Cookie", "second="+secret)
	req.Header.Set("Accept-Language", "de-DE, de;q=0.9")
	req.Header.Set("User-Agent", `Brow"ser/1.0`)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for range 2 { // over one connection: what is kept of the first must not change
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		req.Header.Set("User-Agent", "other")
		req.URL.RawQuery = "productId=8"
	}
	records := f.records()
	if len(records) != 2 {
		t.Fatalf("%d records, want 2", len(records))
	}
	r := records[0]
	if string(r.Key) != "7" || r.Partition != accesslog.Partition(7, int(g.access.partitions.Load())) || r.Topic != "access-log" {
		t.Errorf("key %q, partition %d, topic %q", r.Key, r.Partition, r.Topic)
	}
	if strings.Contains(string(r.Value), secret) {
		t.Errorf("the record tells a secret: %s", r.Value)
	}
	var seed struct {
		Headers     map[string]string `json:"headers"`
		URIArgs     map[string]string `json:"uri_args"`
		HTTPVersion float64           `json:"http_version"`
		Method      string            `json:"method"`
		RawReader   string            `json:"raw_reader"`
		Client      *string           `json:"client"`
	}
	if err := json.Unmarshal(r.Value, &seed); err != nil {
		t.Fatalf("%s: %v", r.Value, err)
	}
	if seed.Headers["user-agent"] != `Brow"ser/1.0` || seed.Headers["accept-language"] != "de-DE, de;q=0.9" || seed.Headers["host"] == "" ||
		seed.URIArgs["productId"] != "7" || seed.URIArgs["shopId"] != "3" || seed.URIArgs["a"] != "A b" || seed.URIArgs["requestPath"] != "product" ||
		seed.HTTPVersion != 1.1 || seed.Method != "GET" || seed.Client != nil {
		t.Errorf("record %s", r.Value)
	}
	if !strings.HasPrefix(seed.RawReader, "GET /product?requestPath=product&productId=7") || !strings.Contains(seed.RawReader, "\r\nAccept-Language: de-DE") {
		t.Errorf("raw_reader %q", seed.RawReader)
	}
	if !strings.Contains(string(records[1].Value), `"other"`) || string(records[1].Key) != "8" {
		t.Errorf("the second record: %q %s", records[1].Key, records[1].Value)
	}
}

// The client's address is told when it is asked for, and then the proxies' word on it too.
func TestFullRecordTellsTheClient(t *testing.T) {
	g, f := newLogRig(t, AccessLog{Mode: AccessFull, Client: true}, 0)
	req, err := http.NewRequest("GET", "http://"+g.served(t)+"/product/7", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", "192.0.2.9")
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if text := string(f.records()[0].Value); !strings.Contains(text, `"client":"127.0.0.1"`) || !strings.Contains(text, "192.0.2.9") {
		t.Errorf("record %s", text)
	}
}

// The sum of weights is the number of requests on average, for each product; and
// exactly, each request has a record or is counted as one without.
func TestSampledIsUnbiased(t *testing.T) {
	const n, sample = 200_000, 20
	g, f := newLogRig(t, AccessLog{Mode: AccessSampled, Sample: sample}, 2)
	g.access.setFloor(1) // no weight beyond the sample's
	ctx := &fasthttp.RequestCtx{}
	for i := range int64(n) {
		g.access.request(ctx, pageKey{id: 7 + i%2}, nil) // a pattern that divides the sample
	}
	for id, got := range logged(t, f.log) {
		// a binomial count's standard deviation, times the weight
		if sigma := math.Sqrt(n/2*(1./sample)*(1-1./sample)) * sample; math.Abs(float64(got)-n/2) > 6*sigma {
			t.Errorf("product %d: weights of %d, want %d give or take %.0f", id, got, n/2, sigma)
		}
	}
	if out := int(counter(t, g.access.books.sampled)); out+len(f.log) != n {
		t.Errorf("%d records and %d without, want %d together", len(f.log), out, n)
	}
	for _, r := range f.log {
		if d := decoded(t, r); d.Counts[0].N != sample {
			t.Fatalf("a weight of %d, want %d", d.Counts[0].N, sample)
		}
	}
}

// PITFALL 2: as the producer fills up, records become rarer and heavier, before
// anything is dropped; the sum of weights stays right on average.
func TestPitfall2Shed(t *testing.T) {
	const n = 250_000
	g, f := newLogRig(t, AccessLog{Mode: AccessFull}, 0)
	g.access.setFloor(80_000)
	f.stuck[-1] = true
	ctx := &fasthttp.RequestCtx{}
	for range n {
		g.access.request(ctx, pageKey{id: 7}, nil)
	}
	if len(f.unsettled) >= accessRecords {
		t.Errorf("%d records held, want fewer than the producer's %d", len(f.unsettled), accessRecords)
	}
	if rest := int(counter(t, g.access.books.shed)); rest+len(f.unsettled) != n {
		t.Errorf("%d records and %d without, want %d together", len(f.unsettled), rest, n)
	}
	weights := map[int64]int{}
	variance := 0.
	for _, r := range f.unsettled {
		w := decoded(t, r).Counts[0].N
		weights[w]++
		variance += float64(w) * float64(w-1)
	}
	if weights[1] < accessRecords/2 || weights[2] == 0 || weights[16] == 0 {
		t.Errorf("records by weight: %v; want half of the room at weight 1, then 2, 4, 8, 16", weights)
	}
	held := g.access.books.held.Load()
	if diff := math.Abs(float64(held - n)); diff > 6*math.Sqrt(variance) {
		t.Errorf("weights of %d for %d requests, standard deviation %.0f", held, n, math.Sqrt(variance))
	}
	f.answer(kafka.DropShutdown)
	if lost := losses(t, g.access.books); lost[kafka.DropShutdown] != held || g.access.books.held.Load() != 0 {
		t.Errorf("lost %v, want the weights of %d", lost, held)
	}
	t.Logf("records by weight: %v", weights)
}

// No record weighs more than the share of the floor that is worth a flush.
func TestShedLevels(t *testing.T) {
	for _, c := range []struct {
		sample                    int
		floor                     int64
		records, bytes, partition int64
		partitions                int64
		want                      int
		why                       string
	}{
		{0, 200, 0, 0, 0, 4, 0, "empty"},
		{0, 200, accessRecords / 2, 0, 0, 4, 1, "half full"},
		{0, 200, accessRecords/2 - 1, 0, 0, 4, 0, "not quite"},
		{0, 200, accessRecords * 3 / 4, 0, 0, 4, 2, "three quarters"},
		{0, 200, accessRecords * 7 / 8, 0, 0, 4, 3, "seven eighths"},
		{0, 200, 10, accessBytes * 3 / 4, 0, 4, 2, "full of large records"},
		{0, 200, accessRecords, 0, 0, 4, 4, "full: at most the share, 25"},
		{0, 0, accessRecords, 0, 0, 4, 3, "full: at least 8"},
		{0, 1 << 40, accessRecords + 1, 0, 0, 4, 15, "full, a huge floor"},
		{10, 200, accessRecords, 0, 0, 4, 1, "a sample of 10 in 25"},
		{100, 200, accessRecords, 0, 0, 4, 0, "a sample above it"},
		{0, 200, accessRecords / 5, 0, accessRecords / 5, 4, 1, "half of a partition's share"},
		{0, 200, accessRecords * 3 / 10, 0, accessRecords * 3 / 10, 4, 2, "three quarters of it"},
		{0, 200, accessRecords / 4, 0, accessRecords / 4, 1, 0, "of one partition"},
	} {
		log := AccessLog{Mode: AccessFull}
		if c.sample > 0 {
			log = AccessLog{Mode: AccessSampled, Sample: c.sample}
		}
		g, _ := newLogRig(t, log, 0)
		l := g.access
		l.setFloor(c.floor)
		l.partitions.Store(c.partitions)
		l.books.pending.Store(c.records)
		l.books.bytes.Store(c.bytes)
		l.books.slot(2).Store(int32(c.partition))
		if got := l.recorder.shed(2, l.cfg.Sample); got != c.want {
			t.Errorf("%s: %d halvings, want %d", c.why, got, c.want)
		}
	}
}

func TestAccessLogConfig(t *testing.T) {
	for _, c := range []struct {
		log  AccessLog
		want string
	}{
		{AccessLog{}, ""},
		{AccessLog{Mode: AccessOff}, ""},
		{AccessLog{Mode: AccessSampled, Sample: 2, Redact: []string{"X-A"}}, ""},
		{AccessLog{Mode: AccessSampled}, "1/0"},
		{AccessLog{Mode: AccessSampled, Sample: 2_000_000}, "1/2000000"},
		{AccessLog{Mode: AccessFull, Sample: 5}, "not to full"},
		{AccessLog{Mode: "some"}, `"some"`},
		{AccessLog{Redact: []string{"a b"}}, `"a b"`},
	} {
		_, err := newRole(Config{ID: "a", Addr: "127.0.0.1:0", PeerAddr: "127.0.0.1:0", AccessLog: c.log}, Deps{})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", c.log, err, c.want)
		}
	}
}
