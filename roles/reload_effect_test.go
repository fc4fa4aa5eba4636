package roles

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"eshop/pkg/kafka"
)

// effect is what a change of one setting comes to, as somebody outside sees it.
type effect struct {
	setting string
	to      string
	// also is changed with it, and is no flag of its own; file is a file whose content is changed instead.
	kinds, file string
	// see returns nil once the change shows. It is called before the change too, and must not return nil then.
	see func(h *reloading) error
}

var ttlOf = regexp.MustCompile(`ttl=(-?\d+)`)

// freshFor looks for how long the page of a product that nobody has asked for is fresh.
func freshFor(h *reloading, most int) error {
	resp, _, err := h.page(h.fresh())
	if err != nil {
		return err
	}
	m := ttlOf.FindStringSubmatch(resp.Header.Get("Cache-Status"))
	if m == nil {
		return fmt.Errorf("%s, Cache-Status %s", resp.Status, resp.Header.Get("Cache-Status"))
	}
	if n, _ := strconv.Atoi(m[1]); n > most {
		return fmt.Errorf("it is fresh for %d s", n)
	}
	return nil
}

// refusals asks for ids that do not exist, each with a header of its own, and counts how often that is refused.
func refusals(h *reloading, n int, name string, value func() string) (refused int, err error) {
	for range n {
		resp, _, err := h.page(unknownFrom+h.fresh(), name, value())
		switch {
		case err != nil:
			return 0, err
		case resp.StatusCode == http.StatusTooManyRequests:
			refused++
		case resp.StatusCode != http.StatusNotFound:
			return 0, fmt.Errorf("an id that does not exist: %s", resp.Status)
		}
	}
	return refused, nil
}

// want turns a condition into an error.
func want(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// atMost looks at a metric of a role's memory.
func heldAtMost(role string, bytes float64) func(*reloading) error {
	return func(h *reloading) error {
		held := h.metric("eshop_l1_bytes", `role="`+role+`"`)
		return want(held <= bytes, "%.0f bytes are held", held)
	}
}

func audited(role string) func(*reloading) error {
	return func(h *reloading) error {
		return want(h.metric("eshop_audited_total", `role="`+role+`"`) > 0, "nothing is audited")
	}
}

// oneOwn: a client that names itself anew each time is refused nothing, unless it is not believed.
func eachItsOwn(name, form string, believed bool) func(*reloading) error {
	return func(h *reloading) error {
		refused, err := refusals(h, 8, name, func() string { return fmt.Sprintf(form, h.stranger()) })
		if err != nil {
			return err
		}
		return want(believed == (refused == 0), "%d of 8 are refused", refused)
	}
}

func oneStranger(h *reloading) error {
	one := h.stranger()
	refused, err := refusals(h, 10, "X-Forwarded-For", func() string { return one })
	if err != nil {
		return err
	}
	return want(refused == 0, "%d of 10 are refused", refused)
}

// idle opens connections to a host of this machine and counts those that are closed at once.
func idle(h *reloading, host string, n int) (closed int, err error) {
	for range n {
		c, err := net.Dial("tcp", h.gateway(host))
		if err != nil {
			return 0, err
		}
		defer c.Close()
		if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			return 0, err
		}
		var timeout net.Error
		if _, err := bufio.NewReader(c).ReadByte(); !errors.As(err, &timeout) || !timeout.Timeout() {
			closed++
		}
	}
	return closed, nil
}

// otherHost is an address of this machine that is not loopback.
func otherHost(t *testing.T) string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String()
		}
	}
	return ""
}

// ttlInRedis asks the embedded Redis for the rest of a key's life.
func ttlInRedis(h *reloading, key string) (time.Duration, error) {
	c, err := net.Dial("tcp", strings.TrimPrefix(h.addresses["redis"], "redis://"))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return 0, err
	}
	fmt.Fprintf(c, "*2\r\n$4\r\nPTTL\r\n$%d\r\n%s\r\n", len(key), key)
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimPrefix(line, ":")), 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("Redis says %q of %s", line, key)
	}
	return time.Duration(n) * time.Millisecond, nil
}

// effects are those of every setting that a process takes over; letters is the access log as a reader sees it.
func effects(h *reloading, log <-chan string) []effect {
	// record is the access log's record of a request with a header of this value.
	record := func(secret string) (string, error) {
		mark := fmt.Sprintf("mark-%d-", h.fresh())
		for range 40 { // one of two has a record
			if _, _, err := h.page(1, "Host", "shop", "User-Agent", mark, "X-Secret", secret, "X-Forwarded-For", h.stranger()); err != nil {
				return "", err
			}
		}
		limit := time.After(5 * time.Second)
		for {
			select {
			case text := <-log:
				if strings.Contains(text, mark) {
					return text, nil
				}
			case <-limit:
				return "", errors.New("there is no record")
			}
		}
	}
	return []effect{
		{setting: "gateway.l1-bytes", to: "9MiB", see: heldAtMost("gateway", 9<<20)},
		{setting: "cache.l1-bytes", to: "4MiB", see: heldAtMost("cache", 4<<20)},
		{setting: "gateway.template", to: h.write("other.html", "<p>another template for {{.productName}}"), see: func(h *reloading) error {
			_, body, err := h.page(1)
			return errors.Join(err, want(strings.Contains(body, "another template"), "it is the old template"))
		}},
		{setting: "gateway.max-staleness", to: "1s", see: func(h *reloading) error { // heartbeats come every second, so it is behind before each
			for range 100 {
				if h.metric("eshop_gateway_bus_behind") == 1 {
					return nil
				}
			}
			return errors.New("the bus is not behind")
		}},
		{setting: "gateway.soft-ttl", to: "3s-4s", see: func(h *reloading) error { return freshFor(h, 4) }},
		{setting: "kinds[product].soft-ttl", kinds: "kinds: [{name: product, batch-url: '', soft-ttl-min: 5s, soft-ttl-max: 6s}]",
			see: func(h *reloading) error { return freshFor(h, 6) }},
		{setting: "gateway.audit", to: "50", see: audited("gateway")},
		{setting: "cache.audit", to: "50", see: audited("cache")},
		{setting: "gateway.access-log", to: "sampled:1/1000000", see: func(h *reloading) error {
			left := h.metric("eshop_accesslog_unrecorded_total", `reason="sampled"`)
			for range 40 {
				if _, _, err := h.page(1); err != nil {
					return err
				}
			}
			left = h.metric("eshop_accesslog_unrecorded_total", `reason="sampled"`) - left
			return want(left >= 40, "%.0f of 40 requests are without a record", left)
		}},
		{setting: "gateway.access-log-redact", to: "X-Secret", see: func(h *reloading) error {
			text, err := record("to-be-redacted")
			return errors.Join(err, want(!strings.Contains(text, "to-be-redacted"), "the header is in the record"))
		}},
		{setting: "gateway.access-log-client", to: "true", see: func(h *reloading) error {
			text, err := record("x")
			return errors.Join(err, want(strings.Contains(text, `"client":"127.0.0.1"`), "the client is not in the record %s", text))
		}},
		{setting: "gateway.connections", to: "16", see: func(h *reloading) error {
			closed, err := idle(h, "127.0.0.1", 20)
			return errors.Join(err, want(closed > 0, "20 connections are open"))
		}},
		{setting: "gateway.connections-per-address", to: "2", see: func(h *reloading) error {
			closed, err := idle(h, otherHost(h.t), 4)
			return errors.Join(err, want(closed > 0, "4 connections from one address are open"))
		}},
		{setting: "gateway.waiting", to: "1", see: func(h *reloading) error {
			ids := []int64{h.fresh(), h.fresh()}
			var wg sync.WaitGroup
			defer wg.Wait()
			for _, id := range ids {
				h.shop.slow(id, 800*time.Millisecond)
			}
			wg.Go(func() { h.page(ids[0]) })
			h.until(20*time.Second, func() error { return want(h.shop.pulled(ids[0]) > 0, "the first is not under way") })
			resp, _, err := h.page(ids[1])
			if err != nil {
				return err
			}
			return want(strings.Contains(resp.Header.Get("Cache-Status"), "refused: waiting"), "%s, Cache-Status %s", resp.Status, resp.Header.Get("Cache-Status"))
		}},
		{setting: "gateway.batch-ids", to: "2", see: batchesOfTwo},
		{setting: "gateway.batch-bytes", to: "64KiB", see: batchIsCut},
		{setting: "gateway.unknown-rate", to: "100000", see: oneStranger},
		{setting: "gateway.unknown-burst", to: "500", see: oneStranger},
		{setting: "gateway.trusted-proxies", to: "10.0.0.0/8", see: eachItsOwn("X-Forwarded-For", "%s", false)},
		{setting: "gateway.client-header", to: "forwarded", see: eachItsOwn("Forwarded", "for=%s", true)},
		{setting: "cache.redis-ttl", to: "1h", see: func(h *reloading) error {
			id := h.fresh()
			if _, _, err := h.page(id); err != nil {
				return err
			}
			left, err := ttlInRedis(h, fmt.Sprintf("product_info_%d", id))
			return errors.Join(err, want(left < 70*time.Minute, "it lives for %s", left))
		}},
		{setting: "cache.refresh", to: "1s", see: func(h *reloading) error {
			id := h.fresh()
			for deadline := time.Now().Add(3 * time.Second); time.Now().Before(deadline); {
				if _, err := h.doc(id, clusterSecret); err != nil {
					return err
				}
				if h.shop.pulled(id) > 1 {
					return nil
				}
			}
			return errors.New("it was pulled once")
		}},
		{setting: "cache.unknown-rate", to: "1", see: func(h *reloading) error {
			for range 40 {
				if code, err := h.doc(unknownFrom+h.fresh(), clusterSecret); err != nil || code == http.StatusServiceUnavailable {
					return err
				}
			}
			return errors.New("40 unknown ids are looked for")
		}},
		{setting: "origin.timeout", to: "10s", see: func(h *reloading) error {
			id := h.fresh()
			h.shop.slow(id, 1500*time.Millisecond)
			code, err := h.doc(id, clusterSecret)
			return errors.Join(err, want(code == http.StatusOK, "a slow document: %d", code))
		}},
		{setting: "origin.concurrency", to: "9", see: func(h *reloading) error {
			h.shop.mostAtOnce()
			var wg sync.WaitGroup
			for range 9 {
				id := h.fresh()
				h.shop.slow(id, 150*time.Millisecond)
				wg.Go(func() { h.doc(id, clusterSecret) })
			}
			wg.Wait()
			most := h.shop.mostAtOnce()
			return want(most > 2, "%d requests at once", most)
		}},
		{setting: "cluster.token-file", file: "cluster-token", to: "another-token", see: func(h *reloading) error {
			code, err := h.doc(1, "another-token")
			old, wrong := h.doc(1, clusterSecret)
			return errors.Join(err, wrong, want(code == http.StatusOK && old == http.StatusUnauthorized, "the new one: %d, the old one: %d", code, old))
		}},
		{setting: "admin.token-file", file: "admin-token", to: "another-token", see: func(h *reloading) error {
			resp, _, err := h.ask("POST", h.admin+"/api/purge?kind=product&id=1", 20*time.Second, "Authorization", "Bearer another-token")
			if err != nil {
				return err
			}
			return want(resp.StatusCode == http.StatusOK, "%s", resp.Status)
		}},
		{setting: "log.level", to: "info", see: func(h *reloading) error {
			return want(strings.Contains(h.log.String(), "level=INFO"), "nothing is logged")
		}},
	}
}

// TestReloadTakesEffect changes every setting that is said to be taken over in the file of a running process, asks for a reload, and
// looks from outside at what comes of it.
func TestReloadTakesEffect(t *testing.T) {
	h := newReloading(t, nil)
	log := make(chan string, 1<<16)
	reader, err := kafka.NewReader(kafka.ReaderConfig{Config: kafka.Config{Brokers: []string{strings.TrimPrefix(h.addresses["kafka"], "kafka://")}}, Topic: "access-log"},
		lines(log), kafka.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- reader.Run(ctx) }()
	defer func() { cancel(); <-done }()

	for id := range int64(700) { // more than is left by the smaller sizes
		resp, _, err := h.ask("GET", fmt.Sprintf("http://%s/product/%d.json", h.gateway("127.0.0.1"), id+1), 20*time.Second)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("product %d: %v %v", id+1, resp, err)
		}
	}
	all := effects(h, log)
	for _, e := range all {
		t.Run(e.setting, func(t *testing.T) {
			h.t = t
			if e.setting == "gateway.connections-per-address" && otherHost(t) == "" {
				t.Log("this machine has no address but loopback, which is not bound")
				return
			}
			begin := time.Now()
			if err := e.see(h); err == nil {
				t.Fatal("it shows before the change")
			}
			switch {
			case e.file != "":
				h.write(e.file, e.to)
			case e.kinds != "":
				h.settings(map[string]string{"kinds": e.kinds})
			default:
				h.settings(map[string]string{e.setting: e.to})
			}
			code, a := h.reload()
			if code != http.StatusOK || !a.OK || len(a.Applied) != 1 || a.Applied[0].Name != e.setting || len(a.Restart) > 0 {
				t.Fatalf("the answer is %d %+v", code, a)
			}
			h.until(time.Minute, func() error { return e.see(h) })
			t.Logf("%s shows %s after the reload", a.Applied[0], time.Since(begin).Round(time.Millisecond))

			if e.file == "admin-token" {
				h.token = e.to
			}
			h.write("cluster-token", clusterSecret)
			h.write("admin-token", adminSecret)
			h.settings(nil)
			if _, a = h.reload(); !a.OK || len(a.Applied) != 1 {
				t.Fatalf("on the way back the answer is %+v", a)
			}
			h.token = adminSecret
		})
	}
	for _, name := range reloadable() {
		if !slices.ContainsFunc(all, func(e effect) bool { return e.setting == name }) {
			t.Errorf("--%s is said to be taken over, and nothing shows that it is", name)
		}
	}
	for _, e := range all {
		if !slices.Contains(reloadable(), e.setting) && !strings.HasPrefix(e.setting, "kinds[") {
			t.Errorf("--%s is taken over and nobody says so", e.setting)
		}
	}
	if text := h.log.String(); strings.Contains(text, adminSecret) || strings.Contains(text, clusterSecret) || strings.Contains(text, "another-token") {
		t.Error("the log shows a secret")
	}
}

// lines takes what a reader of a topic reads.
type lines chan<- string

func (l lines) Record(r kafka.Record) {
	select {
	case l <- string(r.Value):
	default:
	}
}
func (l lines) Gap(int32, int64, int64, string) {}
