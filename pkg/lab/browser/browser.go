// Package browser opens pages in a headless Chromium, for tests.
package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// Limits of one browser and of one wait.
const (
	lifetime  = 4 * time.Minute
	waitLimit = 60 * time.Second
)

// Browser is a headless Chromium with one tab; what the page complains of is
// collected. It ends with the test.
type Browser struct {
	t    testing.TB
	ctx  context.Context
	mu   sync.Mutex
	said []string
}

// New starts a browser. The test is skipped where there is none, and fails in
// strict mode.
func New(t testing.TB) *Browser {
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
	ctx, cancel := context.WithTimeout(context.Background(), lifetime)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	b := &Browser{t: t}
	b.ctx, cancel = chromedp.NewContext(ctx)
	messages := chromedp.Console(b.ctx)
	var reading sync.WaitGroup
	reading.Go(func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			b.mu.Lock()
			b.said = append(b.said, m.String())
			b.mu.Unlock()
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

// Complaints are what was written to the page's console.
func (b *Browser) Complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.said)
}

// Do performs actions of chromedp.
func (b *Browser) Do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatalf("%v; the page said %q", err, b.Complaints())
	}
}

// Open goes to an address.
func (b *Browser) Open(url string) {
	b.t.Helper()
	b.Do(chromedp.Navigate(url))
}

// Size makes the window so many CSS pixels wide and high; a phone has twice as many
// of its own and a touch screen.
func (b *Browser) Size(width, height int64, phone bool) {
	b.t.Helper()
	if phone {
		b.Do(chromedp.EmulateViewport(width, height, chromedp.EmulateMobile, chromedp.EmulateScale(2)))
		return
	}
	b.Do(chromedp.EmulateViewport(width, height))
}

// Dark turns the preference for dark pages on or off.
func (b *Browser) Dark(on bool) {
	b.t.Helper()
	value := "light"
	if on {
		value = "dark"
	}
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}}})
	if err != nil {
		b.t.Fatal(err)
	}
}

// Press types text, or keys of chromedp's kb, wherever the focus is.
func (b *Browser) Press(keys string) {
	b.t.Helper()
	b.Do(chromedp.KeyEvent(keys))
}

// Eval returns what a script's expression gives, as text.
func (b *Browser) Eval(script string) string {
	b.t.Helper()
	out, err := chromedp.Run(b.ctx, chromedp.Evaluate[any](script))
	if err != nil {
		b.t.Fatalf("%s: %v; the page said %q", script, err, b.Complaints())
	}
	return fmt.Sprint(out)
}

// Until polls an expression until it gives true.
func (b *Browser) Until(what, script string) {
	b.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(waitLimit); b.Eval(script) != "true"; <-tick.C {
		if time.Now().After(deadline) {
			b.t.Fatalf("not within %v: %s; the page said %q, has the focus on %s and shows\n%s", waitLimit, what, b.Complaints(),
				b.Eval("document.activeElement.outerHTML.slice(0, 200)"), b.Eval("document.body.innerText"))
		}
	}
}

// Picture stores what the window shows, or with whole the page down to its end.
func (b *Browser) Picture(path string, whole bool) {
	b.t.Helper()
	action := chromedp.CaptureScreenshot()
	if whole {
		action = chromedp.FullScreenshot(100)
	}
	png, err := chromedp.Run(b.ctx, action)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
