package hotcount

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

var update = flag.Bool("update", false, "take the README's picture of the dashboard anew")

// browser is a headless Chromium with one tab; what the page complains of is
// collected.
type browser struct {
	t    *testing.T
	ctx  context.Context
	mu   sync.Mutex
	said []string
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil && os.Getenv("ESHOP_TEST_STRICT") == "" {
		t.Skip("chromium is not installed; testdata/lab-setup.sh installs it")
	} else if err != nil {
		t.Fatal(err)
	}
	// The options are a list of their own: the library's defaults are few and change.
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir())}
	for _, name := range []string{"headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
		"disable-component-update", "disable-sync", "disable-dev-shm-usage", "hide-scrollbars", "no-default-browser-check"} {
		options = append(options, chromedp.Flag(name, true))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	b := &browser{t: t}
	b.ctx, cancel = chromedp.NewContext(ctx)
	messages := chromedp.Console(b.ctx)
	var reading sync.WaitGroup
	reading.Go(func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			b.note(m.String())
		}
	})
	t.Cleanup(func() {
		if err := chromedp.Cancel(b.ctx); err != nil {
			t.Logf("close the browser: %v", err)
		}
		cancel()
		reading.Wait()
	})
	return b
}

func (b *browser) note(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.said = append(b.said, text)
}

func (b *browser) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.said)
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatalf("%v; the page said %q", err, b.complaints())
	}
}

// eval returns what a script's expression gives, as text.
func (b *browser) eval(script string) string {
	b.t.Helper()
	out, err := chromedp.Run(b.ctx, chromedp.Evaluate[any](script))
	if err != nil {
		b.t.Fatalf("%s: %v; the page said %q", script, err, b.complaints())
	}
	return fmt.Sprint(out)
}

// until polls an expression until it gives true.
func (b *browser) until(what, script string) {
	b.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		if b.eval(script) == "true" {
			tick.Stop()
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("not within 30 s: %s; the page said %q and shows\n%s", what, b.complaints(), b.eval("document.body.innerText"))
		}
		<-tick.C
	}
}

// TestDashboard is an operator before the page: what is hot shows by itself, a
// change needs the token and shows, on a phone nothing sticks out, and by night
// it is dark.
func TestDashboard(t *testing.T) {
	onBoth(t, 4, func(t *testing.T, w *world) {
		b := newBrowser(t)
		p := w.started("node-a")
		l := w.load(500)
		background(t, l.run)
		hot := w.steadilyHot()

		b.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(p.url+"/"))
		b.until("the page is live", `document.getElementById("state").textContent === "live"`)
		b.until("the hot product is listed", fmt.Sprintf(`[...document.querySelectorAll("#hot tbody tr")].some((r) => r.cells[0].textContent === "%d" && r.cells[6].textContent === "rule")`, hot))
		b.until("it is drawn", `document.querySelector("#hot polyline").getAttribute("points").split(" ").length > 2`)
		b.until("the ranking is long", `document.querySelectorAll("#top tbody tr").length === 50`)
		b.until("figures are there", `document.getElementById("rate").textContent !== "–" && document.getElementById("detection").textContent.endsWith("s")`)

		// Without a token nothing changes, and the page says what is missing.
		b.do(chromedp.SendKeys("#pinForm input", "499"), chromedp.Click("#pinForm button:last-of-type"))
		b.until("the token is asked for", `document.getElementById("answer").textContent.includes("--admin.token-file")`)
		b.do(chromedp.SendKeys("#token", "wrong"), chromedp.Click("#pinForm button:last-of-type"))
		b.until("a wrong token is refused", `document.getElementById("answer").className.includes("bad") && document.getElementById("answer").textContent.includes("Bearer")`)
		b.do(chromedp.SetValue("#token", adminToken), chromedp.Click("#pinForm button:last-of-type"))
		b.until("the pinned product is hot", `[...document.querySelectorAll("#hot tbody tr")].some((r) => r.cells[0].textContent === "499" && r.cells[6].textContent === "pin")`)
		b.until("it is listed as pinned", `document.querySelector("#pins li strong").textContent === "499"`)
		b.do(chromedp.SetValue(`#ruleForm [name=factor]`, "9"), chromedp.Click("#ruleForm button"))
		// SetValue tells nobody that the field was edited, so the page may have put
		// the old value back before the click.
		b.until("the new rule is shown", `(() => {
			if (document.getElementById("ruleText").textContent.includes("9 times")) return true;
			const f = document.getElementById("ruleForm");
			f.elements.factor.value = "9";
			f.dispatchEvent(new Event("input"));
			f.requestSubmit();
			return false;
		})()`)
		if rule := p.shared.rule.Load(); rule.Factor != 9 || rule.Floor != 200 {
			t.Errorf("the rule is %+v, want the factor 9 and all else as it was", rule)
		}
		if *update && strings.HasSuffix(t.Name(), "embedded") {
			b.picture(filepath.Join("..", "..", "testdata", "dashboard.png"))
		}
		b.do(chromedp.Click("#pins li button"))
		b.until("the pin is gone", `document.querySelectorAll("#pins li").length === 0`)
		b.do(chromedp.Click(fmt.Sprintf(`button[aria-label="ban product %d"]`, hot)))
		b.until("the banned product is not hot", fmt.Sprintf(`![...document.querySelectorAll("#hot tbody tr")].some((r) => r.cells[0].textContent === "%d")`, hot))

		b.do(chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile, chromedp.EmulateScale(2)))
		b.until("nothing sticks out on a phone", `document.documentElement.scrollWidth <= window.innerWidth`)
		light := b.eval(`getComputedStyle(document.body).backgroundColor`)
		_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
		if err != nil {
			t.Fatal(err)
		}
		if dark := b.eval(`getComputedStyle(document.body).backgroundColor`); dark == light || light != "rgb(255, 255, 255)" {
			t.Errorf("the background is %s by day and %s by night", light, dark)
		}
		for _, s := range b.complaints() {
			if !strings.Contains(s, "401") { // the wrong token above
				t.Errorf("the browser complains: %s", s)
			}
		}

		// The process ends: the page says so and finds it again by itself.
		p.stop()
		b.until("the loss is shown", `document.getElementById("state").className.includes("lost")`)
	})
}

// picture stores what the page shows, in the order of a README: above the fold.
func (b *browser) picture(path string) {
	b.t.Helper()
	b.eval(`(window.scrollTo(0, 0), document.activeElement.blur(), document.getElementById("answer").textContent = "")`)
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
