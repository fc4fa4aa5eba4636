package roles

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"eshop/pkg/lab"
)

// running is a command line that runs until it is stopped.
type running struct {
	t         *testing.T
	addresses map[string]string // what → URL, as announced
	stop      func() (code int, stderr string)
}

// start runs eshop all until it has announced that it is ready.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	return startWith(t, 8, args...)
}

// startWith runs a command until it has announced so many addresses.
func startWith(t *testing.T, addresses int, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	var stderr bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- execute(ctx, args, process{stdout: in, stderr: &stderr})
		in.Close() // ends the scanner below, if it still waits
	}()
	r := &running{t: t, addresses: make(map[string]string)}
	r.stop = sync.OnceValues(func() (int, string) {
		cancel()
		c := <-code
		return c, stderr.String()
	})
	lines := bufio.NewScanner(out)
	deadline := time.AfterFunc(20*time.Second, func() { in.CloseWithError(context.DeadlineExceeded) })
	defer deadline.Stop()
	for lines.Scan() {
		line := lines.Text()
		if what, url, found := cutLast(strings.TrimSpace(line)); found && strings.HasPrefix(line, "  ") {
			r.addresses[what] = url
		}
		if len(r.addresses) == addresses {
			return r
		}
	}
	c, text := r.stop()
	t.Fatalf("eshop %s is not ready within 20 s or ended with code %d: %v\n%s", strings.Join(args, " "), c, r.addresses, text)
	return nil
}

func cutLast(s string) (before, after string, found bool) {
	i := strings.LastIndexByte(s, ' ')
	if i < 0 {
		return s, "", false
	}
	return strings.TrimSpace(s[:i]), s[i+1:], true
}

// do returns status and body; the connection is not kept.
func (r *running) do(method, url, body string, headers ...string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// anyPort lets the listeners of eshop all take free ports.
func anyPort(args ...string) []string {
	all := []string{"all", "--log.level=warn"}
	for _, flag := range []string{"gateway.addr", "gateway.peer-addr", "cache.addr", "admin.addr", "origin.sample-addr"} {
		all = append(all, "--"+flag+"=127.0.0.1:0")
	}
	return append(all, args...)
}

// TestAll is what a newcomer does: start everything, look at a page, change the product, see it.
func TestAll(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("t0ken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	r := start(t, anyPort("--data-dir="+data, "--admin.token-file="+token)...)
	page := r.addresses["product pages"]
	if code, body := r.do("GET", page, ""); code != 200 || !strings.Contains(body, "<html") {
		t.Errorf("GET %s: got %d:\n%.300s", page, code, body)
	}
	shop := strings.TrimSuffix(r.addresses["sample shop"], "/")
	if code, body := r.do("PUT", shop+"/products/1", `{"id":1,"name":"Quilted kettle","price":12.5,"shopId":1}`); code >= 300 {
		t.Fatalf("edit product 1: got %d %s", code, body)
	}
	begin := time.Now()
	lab.Until(t, 10*time.Second, func(context.Context) error {
		if _, body := r.do("GET", page, ""); !strings.Contains(body, "Quilted kettle") {
			return errors.New("the edit does not show")
		}
		return nil
	})
	t.Logf("the edit showed within %s", time.Since(begin))

	admin := strings.TrimSuffix(r.addresses["admin and console"], "/")
	for path, want := range map[string]string{
		"/-/healthy": "healthy", "/-/ready": "ready", "/": "eshop console", "/hot": "What is hot", "/status": "<h2>parts</h2>", "/api/status": `"ready": true`,
		"/api/hot": `"keys"`, "/api/top?n=5": `"watermark"`, "/api/rule": `"floor": 200`, "/api/prewarm": "{",
		"/api/explain?kind=product&id=1": "Quilted kettle",
		"/metrics":                       "eshop_build_info{",
	} {
		if code, body := r.do("GET", admin+path, ""); code != 200 || !strings.Contains(body, want) {
			t.Errorf("GET %s: got %d, want 200 and %q:\n%.500s", path, code, want, body)
		}
	}
	missing := []string{
		"gateway_requests_total", "gateway_request_seconds", "l1_bytes", "l1_entries", "l1_evictions_total", "origin_pulls_total", "changes_total", "change_lag_seconds",
		"invalidation_lag_seconds", "redis_repairs_total", "staleness_seconds", "consistency_violations_total", "lock_wait_seconds", "breaker_state", "ready",
		"degraded", "degraded_answers_total", "accesslog_dropped_total", "hotcount_events_total", "hotcount_lag_records", "hot_keys", "hot_detection_seconds", "embedded_redis_keys",
	}
	lab.Until(t, 10*time.Second, func(context.Context) error {
		_, metrics := r.do("GET", admin+"/metrics", "")
		missing = slices.DeleteFunc(missing, func(name string) bool { return strings.Contains(metrics, "\n# TYPE eshop_"+name+" ") })
		if len(missing) > 0 {
			return fmt.Errorf("promised metrics are missing: %q", missing)
		}
		return nil
	})
	purge := admin + "/api/purge?kind=product&id=1"
	if code, _ := r.do("POST", purge, ""); code != 401 {
		t.Errorf("purge without the token: got %d, want 401", code)
	}
	if code, body := r.do("POST", purge, "", "Authorization", "Bearer t0ken"); code != 200 {
		t.Errorf("purge: got %d %s", code, body)
	}
	if code, stderr := r.stop(); code != 0 {
		t.Errorf("stop: got code %d:\n%s", code, stderr)
	}

	// The data directory kept the edit.
	again := start(t, anyPort("--data-dir="+data)...)
	if code, body := again.do("GET", again.addresses["product pages"], ""); code != 200 || !strings.Contains(body, "Quilted kettle") {
		t.Errorf("after a restart: got %d:\n%.300s", code, body)
	}
	if code, stderr := again.stop(); code != 0 {
		t.Errorf("second stop: got code %d:\n%s", code, stderr)
	}
}

// TestAllNamesTheOccupiedPort: every listener of the process names the flag that moves it elsewhere.
func TestAllNamesTheOccupiedPort(t *testing.T) {
	r := start(t, anyPort()...)
	for what, flag := range map[string]string{
		"product pages": "gateway.addr", "gateway peers": "gateway.peer-addr", "cache": "cache.addr", "admin and console": "admin.addr",
		"sample shop": "origin.sample-addr", "redis": "embedded.redis-addr", "kafka": "embedded.kafka-addr", "zookeeper": "embedded.zookeeper-addr",
	} {
		_, rest, _ := strings.Cut(r.addresses[what], "://")
		addr, _, _ := strings.Cut(rest, "/")
		var stderr bytes.Buffer
		code := execute(t.Context(), anyPort(fmt.Sprintf("--%s=%s", flag, addr)), process{stdout: io.Discard, stderr: &stderr})
		if text := stderr.String(); code != 1 || !strings.Contains(text, "--"+flag) || !strings.Contains(text, addr) {
			t.Errorf("--%s %s is occupied: got code %d, want 1 with flag and address:\n%s", flag, addr, code, text)
		}
	}
	if code, stderr := r.stop(); code != 0 {
		t.Errorf("stop: got code %d:\n%s", code, stderr)
	}
}
