package hotcount

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"eshop/pkg/hotlist"
)

// ask sends a request to a process's admin listener, with the token.
func (p *process) ask(t *testing.T, method, path, body string) (code int, answer map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatalf("%s %s: %d %q is no JSON object: %v", method, path, resp.StatusCode, text, err)
	}
	return resp.StatusCode, answer
}

// listed returns the entry of a product in an answer of /api/hot or /api/top, nil without.
func find(answer map[string]any, id int64) map[string]any {
	keys, _ := answer["keys"].([]any)
	for _, k := range keys {
		if k := k.(map[string]any); k["id"] == decimal(id) {
			return k
		}
	}
	return nil
}

// TestAPI: two processes that share the partitions tell the same of all of them,
// and a change at one is known to both.
func TestAPI(t *testing.T) {
	onBoth(t, 4, func(t *testing.T, w *world) {
		a, b := w.started("a"), w.started("b")
		w.share(a, b)
		l := w.load(500)
		background(t, l.run)
		hot := w.steadilyHot()
		for _, p := range []*process{a, b} {
			w.until("every partition's ranking is known", func() error {
				_, top := p.ask(t, "GET", "/api/top?n=2000", "")
				if n := len(top["keys"].([]any)); n < 300 {
					return fmt.Errorf("%d products", n)
				}
				return nil
			})
			code, answer := p.ask(t, "GET", "/api/hot", "")
			k := find(answer, hot)
			if code != 200 || k == nil || k["count"].(float64) < 200 || k["rate"].(float64) < 100 || k["reason"] != "rule" {
				t.Errorf("/api/hot: %d, product %d is %v", code, hot, k)
			}
			for _, text := range []any{k["since"], answer["watermark"]} {
				if at, err := time.Parse(time.RFC3339, text.(string)); err != nil || time.Since(at) > time.Minute || time.Since(at) < -2*time.Second {
					t.Errorf("/api/hot: the time %v is %v ago, %v", text, time.Since(at), err)
				}
			}
			_, top := p.ask(t, "GET", "/api/top?n=5", "")
			if keys := top["keys"].([]any); len(keys) != 5 || keys[0].(map[string]any)["id"] != decimal(hot) || keys[0].(map[string]any)["reason"] != "rule" {
				t.Errorf("/api/top?n=5: %v, want product %d first", keys, hot)
			}
			_, top = p.ask(t, "GET", "/api/top", "")
			if n := len(top["keys"].([]any)); n != 100 {
				t.Errorf("/api/top lists %d products, want 100", n)
			}
		}

		const cold = 499 // hardly ever asked for
		if code, answer := a.ask(t, "POST", "/api/pin?id=499", ""); code != 200 {
			t.Errorf("pin: %d %v", code, answer)
		}
		for _, p := range []*process{a, b} {
			w.until("the pin is known", func() error {
				_, answer := p.ask(t, "GET", "/api/hot", "")
				if k := find(answer, cold); k == nil || k["reason"] != "pin" {
					return fmt.Errorf("product 499 is %v", k)
				}
				return nil
			})
		}
		if code, answer := b.ask(t, "POST", "/api/ban?id="+decimal(hot), ""); code != 200 {
			t.Errorf("ban: %d %v", code, answer)
		}
		b.ask(t, "DELETE", "/api/pin?id=499", "")
		w.until("the ban is known and the pin is gone", func() error {
			_, answer := a.ask(t, "GET", "/api/hot", "")
			if find(answer, cold) != nil || find(answer, hot) != nil {
				return fmt.Errorf("%v", answer)
			}
			return nil
		})
		a.ask(t, "DELETE", "/api/ban?id="+decimal(hot), "")
		w.until("the ban is gone", func() error {
			_, answer := b.ask(t, "GET", "/api/hot", "")
			if find(answer, hot) == nil {
				return fmt.Errorf("%v", answer)
			}
			return nil
		})
	})
}

// TestRuleChange: a rule that is put at one process holds for all. A longer
// window is counted from the log, not from the change on.
func TestRuleChange(t *testing.T) {
	onBoth(t, 4, func(t *testing.T, w *world) {
		a, b := w.started("a"), w.started("b")
		w.share(a, b)
		l := w.load(500)
		stop := background(t, l.run)
		w.steadilyHot()
		code, answer := a.ask(t, "PUT", "/api/rule", `{"window":"4s","floor":100}`)
		if code != 200 || answer["window"] != "4s" || answer["floor"] != 100.0 || answer["hold"] != "1s" {
			t.Errorf("put the rule: %d %v", code, answer)
		}
		w.until("both know it", func() error {
			for _, p := range []*process{a, b} {
				if _, rule := p.ask(t, "GET", "/api/rule", ""); rule["window"] != "4s" {
					return fmt.Errorf("%v", rule)
				}
			}
			return nil
		})
		stop()
		w.written()
		w.until("windows of 4 s are published", func() error {
			_, tops := w.seen()
			n := 0
			for _, list := range tops {
				if list.Span == 4000 && list.Total > 0 {
					n++
				}
			}
			if n < w.partitions {
				return fmt.Errorf("%d", n)
			}
			return nil
		})
		a.stop()
		b.stop()
		truth := w.truth()
		_, tops := w.seen()
		for _, list := range tops {
			if err := truth[list.Partition].checkTop(list); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestRuleChangesAtTheSameTime: two that change one field each both hold, whether
// the second process has heard of the first change or not.
func TestRuleChangesAtTheSameTime(t *testing.T) {
	onBoth(t, 1, func(t *testing.T, w *world) {
		a, b := w.started("a"), w.started("b")
		for i := range 5 {
			floor, cool := 300+i, 0.1+float64(i)/10
			var both sync.WaitGroup
			for p, body := range map[*process]string{a: fmt.Sprintf(`{"floor":%d}`, floor), b: fmt.Sprintf(`{"cool":%g}`, cool)} {
				both.Go(func() {
					if code, answer := p.ask(t, "PUT", "/api/rule", body); code != 200 {
						t.Errorf("put %s: %d %v", body, code, answer)
					}
				})
			}
			both.Wait()
			if rule, err := a.lists.GetRule(t.Context()); err != nil || rule.Floor != int64(floor) || fmt.Sprint(rule.Cool) != fmt.Sprintf("%g", cool) {
				t.Errorf("the rule is %+v, %v; want floor %d and cool %g", rule, err, floor, cool)
			}
		}
	})
}

// TestBadRequests: each says what to do.
func TestBadRequests(t *testing.T) {
	onBoth(t, 1, func(t *testing.T, w *world) {
		p := w.started("a")
		for _, tt := range []struct {
			method, path, body string
			code               int
			says               string
		}{
			{"GET", "/api/top?n=x", "", 400, "from 1 to 2000"},
			{"GET", "/api/top?n=0", "", 400, "from 1 to 2000"},
			{"GET", "/api/top?n=2001", "", 400, "from 1 to 2000"},
			{"POST", "/api/pin", "", 400, "?id=7"},
			{"POST", "/api/pin?id=07", "", 400, "?id=7"},
			{"DELETE", "/api/ban?id=-1", "", 400, "?id=7"},
			{"PUT", "/api/rule", "", 400, `{"floor":300`},
			{"PUT", "/api/rule", `{"floor":0,"cool":2}`, 400, "cool is 2"},
			{"PUT", "/api/rule", `{"flor":1}`, 400, "flor"},
			{"PUT", "/api/rule", `{"floor":300} {}`, 400, "more than one"},
			{"PUT", "/api/rule", `{"hold":"long"}`, 400, "long"},
		} {
			code, answer := p.ask(t, tt.method, tt.path, tt.body)
			if text, _ := answer["error"].(string); code != tt.code || !strings.Contains(text, tt.says) {
				t.Errorf("%s %s %s: got %d %v, want %d with %q", tt.method, tt.path, tt.body, code, answer, tt.code, tt.says)
			}
		}
		if rule, err := p.lists.GetRule(t.Context()); err != nil || rule != quickRule() {
			t.Errorf("the rule is %v, %v; want it as it was", rule, err)
		}
		zk := w.session(w.zk)
		var all sync.WaitGroup
		ids := make(chan int)
		for range 32 {
			all.Go(func() {
				for id := range ids {
					if err := zk.Create(t.Context(), fmt.Sprintf("ban/%d", id), []byte(`{"by":"test"}`)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for id := range hotlist.MaxMarks {
			ids <- id + 1
		}
		close(ids)
		all.Wait()
		if code, answer := p.ask(t, "POST", "/api/ban?id=5000", ""); code != 409 || !strings.Contains(answer["error"].(string), "remove some") {
			t.Errorf("one ban too many: got %d %v, want 409", code, answer)
		}
	})
}

// TestChangeWithoutZooKeeper: a change that cannot be made is refused, in time.
func TestChangeWithoutZooKeeper(t *testing.T) {
	t.Parallel()
	w := &world{t: t, name: "unused"}
	w.brokers, w.zk = []string{"127.0.0.1:1"}, []string{"127.0.0.1:1"}
	p := w.start(w.config("a"))
	code, answer := p.ask(t, "PUT", "/api/rule", `{"floor":300}`)
	if text, _ := answer["error"].(string); code != 503 || !strings.Contains(text, "ZooKeeper is connecting") {
		t.Errorf("put the rule: got %d %v, want 503", code, answer)
	}
	if code, answer := p.ask(t, "GET", "/api/hot", ""); code != 200 || len(answer["keys"].([]any)) != 0 || answer["watermark"] != "" {
		t.Errorf("/api/hot: got %d %v, want no keys", code, answer)
	}
}

// stream opens an event stream; lines come until ctx ends.
func (p *process) stream(ctx context.Context, t *testing.T) (*http.Response, *bufio.Scanner) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", p.url+"/api/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	t.Cleanup(transport.CloseIdleConnections)
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	return resp, lines
}

// nextEvent reads one event.
func nextEvent(t *testing.T, lines *bufio.Scanner) (e event) {
	t.Helper()
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			if err := json.Unmarshal([]byte(text), &e); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			return e
		}
	}
	t.Fatalf("the stream has ended: %v", lines.Err())
	return e
}

func TestLive(t *testing.T) {
	onBoth(t, 4, func(t *testing.T, w *world) {
		a, b := w.started("a"), w.started("b")
		w.share(a, b)
		l := w.load(500)
		background(t, l.run)
		hot := w.steadilyHot()
		if err := a.lists.Pin(t.Context(), 499, "somebody"); err != nil {
			t.Fatal(err)
		}
		resp, lines := a.stream(t.Context(), t)
		if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || got != "text/event-stream" {
			t.Fatalf("got %d %s", resp.StatusCode, got)
		}
		var e event
		w.until("an event of everything", func() error {
			e = nextEvent(t, lines)
			local := 0
			for _, p := range e.Parts {
				if p.Local != (p.Holder == "a") || p.Generation == 0 || p.AgeMs > 35_000 {
					return fmt.Errorf("partition %+v", p)
				}
				if p.Local {
					local++
				}
			}
			switch {
			case len(e.Parts) != w.partitions || local == 0 || local == w.partitions:
				return fmt.Errorf("%d partitions of %d, %d local", len(e.Parts), w.partitions, local)
			case len(e.Hot) < 2 || e.Hot[0].ID != decimal(hot) || len(e.Hot[0].Spark) < 3 || e.Hot[0].Share <= 0:
				return fmt.Errorf("hot: %+v", e.Hot)
			case e.Hot[len(e.Hot)-1].ID != "499" || e.Hot[len(e.Hot)-1].Reason != hotlist.ReasonPin:
				return fmt.Errorf("the pin is not among %+v", e.Hot)
			case len(e.Top) != liveTop || e.Top[0].ID != decimal(hot) || !e.Top[0].Hot || e.Top[liveTop-1].Hot:
				return fmt.Errorf("top: %+v", e.Top)
			case len(e.Pins) != 1 || e.Pins[0].By != "somebody" || e.Bans == nil:
				return fmt.Errorf("marks: %v %v", e.Pins, e.Bans)
			case e.Rate < 500 || e.Distinct < 100 || e.Hits < 1000 || e.Window != 2 || e.Rule != quickRule() || e.Threshold.Max < 200:
				return fmt.Errorf("%+v", e)
			case e.Detection.Count == 0 && local > 2:
				return fmt.Errorf("detection: %+v", e.Detection)
			case !e.Ready || e.ZooKeeper != "connected" || e.Now-e.Watermark > 10_000:
				return fmt.Errorf("%+v", e)
			}
			return nil
		})
		if next := nextEvent(t, lines); next.Now-e.Now < 500 || next.Now-e.Now > 2500 {
			t.Errorf("events are %d ms apart, want a second", next.Now-e.Now)
		}

		// Streams are bounded, and those that leave make room.
		ctx, leave := context.WithCancel(t.Context())
		for i := range maxStreams - 1 {
			if resp, _ := b.stream(ctx, t); resp.StatusCode != 200 {
				t.Fatalf("stream %d: got %d", i, resp.StatusCode)
			}
		}
		_, last := b.stream(t.Context(), t)
		if resp, _ := b.stream(t.Context(), t); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("one stream too many: got %d", resp.StatusCode)
		}
		nextEvent(t, last)
		leave()
		w.until("streams have left", func() error {
			if n := b.live.count(); n != 1 {
				return fmt.Errorf("%d are there", n)
			}
			return nil
		})
		// The end of the process ends them.
		b.stop()
		for last.Scan() {
		}
		if err := last.Err(); err != nil {
			t.Errorf("the stream ended with %v, want its end", err)
		}
	})
}
