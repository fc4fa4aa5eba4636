package roles

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eshop/pkg/lab"
	"eshop/pkg/reload"
)

// slowShop is an origin that a test can watch and slow down.
type slowShop struct {
	*httptest.Server

	mu      sync.Mutex
	pulls   map[int64]int
	delay   map[int64]time.Duration
	at      int // requests that are being answered
	highest int
}

// unknownFrom is the first id that the shop does not know.
const unknownFrom = 1_000_000

func newSlowShop(t *testing.T) *slowShop {
	t.Helper()
	s := &slowShop{pulls: map[int64]int{}, delay: map[int64]time.Duration{}}
	filler := make([]byte, 6<<10)
	source := rand.New(rand.NewPCG(1, 2))
	for i := range filler {
		filler[i] = byte('!' + 2 + source.IntN(30)) // hard to compress, and nothing that JSON escapes
	}
	text := string(bytes.ReplaceAll(bytes.ReplaceAll(filler, []byte(`&`), []byte(`x`)), []byte(`<`), []byte(`x`)))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shop := r.URL.Path == "/getShopInfo"
		id, err := strconv.ParseInt(r.URL.Query().Get(map[bool]string{true: "shopId", false: "productId"}[shop]), 10, 64)
		if err != nil || id >= unknownFrom {
			http.NotFound(w, r)
			return
		}
		if shop {
			fmt.Fprintf(w, `{"id":%d,"name":"shop %d"}`, id, id)
			return
		}
		s.mu.Lock()
		s.pulls[id]++
		wait := s.delay[id]
		s.at++
		s.highest = max(s.highest, s.at)
		s.mu.Unlock()
		defer func() { s.mu.Lock(); s.at--; s.mu.Unlock() }()
		select {
		case <-time.After(wait):
		case <-r.Context().Done():
		}
		fmt.Fprintf(w, `{"id":%d,"name":"thing %d","shopId":1,"text":%q}`, id, id, text)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *slowShop) slow(id int64, by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay[id] = by
}

func (s *slowShop) pulled(id int64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pulls[id]
}

// mostAtOnce is the highest number of requests at once since the last call.
func (s *slowShop) mostAtOnce() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.highest
	s.highest = s.at
	return n
}

// text is a buffer that is written and read at the same time.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *text) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *text) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// reloading is an "eshop all" that runs by a file.
type reloading struct {
	t         *testing.T
	dir, file string
	base      map[string]string
	kinds     string // sections of the file
	shop      *slowShop
	log       *text
	addresses map[string]string
	admin     string
	token     string // the admin's
	next      atomic.Int64
}

// clusterSecret and adminSecret are the tokens at the start.
const (
	clusterSecret = "the-cluster-token"
	adminSecret   = "the-admin-token"
)

// newReloading starts one with settings in which every effect of others can be seen.
func newReloading(t *testing.T, more map[string]string) *reloading {
	t.Helper()
	h := &reloading{t: t, dir: t.TempDir(), shop: newSlowShop(t), log: new(text), addresses: map[string]string{}, token: adminSecret}
	h.next.Store(10_000)
	h.file = filepath.Join(h.dir, "eshop.yaml")
	h.write("cluster-token", clusterSecret)
	h.write("admin-token", adminSecret)
	h.base = map[string]string{
		"gateway.addr": "0.0.0.0:0", "gateway.peer-addr": "127.0.0.1:0", "cache.addr": "127.0.0.1:0", "admin.addr": "127.0.0.1:0", "origin.url": h.shop.URL,
		"cluster.token-file": filepath.Join(h.dir, "cluster-token"), "admin.token-file": filepath.Join(h.dir, "admin-token"), "log.level": "warn",
		"gateway.l1-bytes": "32MiB", "cache.l1-bytes": "16MiB", "gateway.audit": "0", "cache.audit": "0", "gateway.access-log": "sampled:1/2",
		"gateway.unknown-rate": "0.1", "gateway.unknown-burst": "3", "gateway.trusted-proxies": "127.0.0.0/8", "origin.timeout": "1s", "origin.concurrency": "2",
	}
	for name, value := range more {
		h.base[name] = value
	}
	h.kinds = "kinds: [{name: product, batch-url: ''}]"
	h.settings(nil)

	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- execute(ctx, []string{"all", "--config=" + h.file}, process{stdout: in, stderr: h.log})
		in.Close()
	}()
	t.Cleanup(func() {
		cancel()
		if c := <-code; c != exitClean {
			t.Errorf("it ended with code %d:\n%s", c, h.log)
		}
	})
	lines := bufio.NewScanner(out)
	deadline := time.AfterFunc(time.Minute, func() { in.CloseWithError(context.DeadlineExceeded) })
	defer deadline.Stop()
	for len(h.addresses) < 7 && lines.Scan() {
		if what, url, found := cutLast(strings.TrimSpace(lines.Text())); found && strings.HasPrefix(lines.Text(), "  ") {
			h.addresses[what] = url
		}
	}
	go io.Copy(io.Discard, out)
	if h.admin = strings.TrimSuffix(h.addresses["admin and console"], "/"); h.admin == "" || len(h.addresses) < 7 {
		t.Fatalf("eshop all is not ready: %v\n%s", h.addresses, h.log)
	}
	return h
}

func (h *reloading) write(name, text string) string {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// settings writes the file: the base, and what differs from it.
func (h *reloading) settings(change map[string]string) {
	h.t.Helper()
	var lines []string
	kinds := h.kinds
	for name, value := range h.base {
		if _, other := change[name]; !other {
			lines = append(lines, fmt.Sprintf("%s: %q", name, value))
		}
	}
	for name, value := range change {
		if name == "kinds" {
			kinds = value
			continue
		}
		lines = append(lines, fmt.Sprintf("%s: %q", name, value))
	}
	slices.Sort(lines)
	h.write("eshop.yaml", strings.Join(lines, "\n")+"\n"+kinds+"\n")
}

// ask sends a request and returns the answer, with its body as text.
func (h *reloading) ask(method, url string, limit time.Duration, header ...string) (*http.Response, string, error) {
	req, err := http.NewRequestWithContext(h.t.Context(), method, url, nil)
	if err != nil {
		return nil, "", err
	}
	for i := 0; i+1 < len(header); i += 2 {
		if req.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: limit}).Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// reload asks for one and returns the answer.
func (h *reloading) reload() (int, reload.Answer) {
	h.t.Helper()
	resp, body, err := h.ask("POST", h.admin+"/api/reload", time.Minute, "Authorization", "Bearer "+h.token)
	if err != nil {
		h.t.Fatal(err)
	}
	var a reload.Answer
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		h.t.Fatalf("POST /api/reload: %d %s", resp.StatusCode, body)
	}
	for _, secret := range []string{clusterSecret, adminSecret, "another-token"} {
		if strings.Contains(body, secret) {
			h.t.Errorf("the answer shows a secret: %s", body)
		}
	}
	return resp.StatusCode, a
}

// fresh is the id of a product that nobody has asked for.
func (h *reloading) fresh() int64 { return h.next.Add(1) }

// stranger is a client address that nobody has come from.
func (h *reloading) stranger() string {
	n := h.next.Add(1)
	return fmt.Sprintf("198.%d.%d.%d", 18+n>>16&1, n>>8&255, n&255)
}

// gateway is the address of the public listener, at a host of this machine.
func (h *reloading) gateway(host string) string {
	u, err := url.Parse(h.addresses["product pages"])
	if err != nil {
		h.t.Fatal(err)
	}
	return net.JoinHostPort(host, u.Port())
}

// page asks for a product.
func (h *reloading) page(id int64, header ...string) (*http.Response, string, error) {
	return h.ask("GET", fmt.Sprintf("http://%s/product?productId=%d", h.gateway("127.0.0.1"), id), 20*time.Second, header...)
}

// doc asks the cache role for a product.
func (h *reloading) doc(id int64, token string) (int, error) {
	base, _, _ := strings.Cut(h.addresses["cache"], "/v1/")
	resp, _, err := h.ask("GET", fmt.Sprintf("%s/v1/doc/product/%d", base, id), 20*time.Second, "Authorization", "Bearer "+token)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, nil
}

// metric sums up the samples of a metric that have all the labels.
func (h *reloading) metric(name string, labels ...string) float64 {
	h.t.Helper()
	_, body, err := h.ask("GET", h.admin+"/metrics", 20*time.Second)
	if err != nil {
		h.t.Fatal(err)
	}
	sum := 0.0
	for line := range strings.Lines(body) {
		head, value, found := cutLast(strings.TrimSpace(line))
		if found && (head == name || strings.HasPrefix(head, name+"{")) && !slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(head, l) }) {
			if v, err := strconv.ParseFloat(value, 64); err == nil {
				sum += v
			}
		}
	}
	return sum
}

// until waits for something to show.
func (h *reloading) until(limit time.Duration, see func() error) {
	h.t.Helper()
	lab.Until(h.t, limit, func(context.Context) error { return see() })
}
