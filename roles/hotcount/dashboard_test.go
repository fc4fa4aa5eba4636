package hotcount

import (
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"eshop/pkg/lab/browser"
)

var update = flag.Bool("update", false, "take the README's picture of the dashboard anew")

// TestDashboard is an operator before the page: what is hot shows by itself, a
// change needs the token and shows, on a phone nothing sticks out, and by night
// it is dark.
func TestDashboard(t *testing.T) {
	onBoth(t, 4, func(t *testing.T, w *world) {
		b := browser.New(t)
		p := w.started("node-a")
		l := w.load(500)
		background(t, l.run)
		hot := w.steadilyHot()

		b.Do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(p.url+"/hot"))
		b.Until("the page is live", `document.getElementById("state").textContent === "live"`)
		b.Until("the hot product is listed", fmt.Sprintf(`[...document.querySelectorAll("#hot tbody tr")].some((r) => r.cells[0].textContent === "%d" && r.cells[6].textContent === "rule")`, hot))
		b.Until("it is drawn", `document.querySelector("#hot polyline").getAttribute("points").split(" ").length > 2`)
		b.Until("the ranking is long", `document.querySelectorAll("#top tbody tr").length === 50`)
		b.Until("figures are there", `document.getElementById("rate").textContent !== "–" && document.getElementById("detection").textContent.endsWith("s")`)

		// Without a token nothing changes, and the page says what is missing.
		b.Do(chromedp.SendKeys("#pinForm input", "499"), chromedp.Click("#pinForm button:last-of-type"))
		b.Until("the token is asked for", `document.getElementById("answer").textContent.includes("--admin.token-file")`)
		b.Do(chromedp.SendKeys("#token", "wrong"), chromedp.Click("#pinForm button:last-of-type"))
		b.Until("a wrong token is refused", `document.getElementById("answer").className.includes("bad") && document.getElementById("answer").textContent.includes("Bearer")`)
		b.Do(chromedp.SetValue("#token", adminToken), chromedp.Click("#pinForm button:last-of-type"))
		b.Until("the pinned product is hot", `[...document.querySelectorAll("#hot tbody tr")].some((r) => r.cells[0].textContent === "499" && r.cells[6].textContent === "pin")`)
		b.Until("it is listed as pinned", `document.querySelector("#pins li strong").textContent === "499"`)
		b.Do(chromedp.SetValue(`#ruleForm [name=factor]`, "9"), chromedp.Click("#ruleForm button"))
		// SetValue tells nobody that the field was edited, so the page may have put
		// the old value back before the click.
		b.Until("the new rule is shown", `(() => {
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
			b.Eval(`(window.scrollTo(0, 0), document.activeElement.blur(), document.getElementById("answer").textContent = "")`)
			b.Picture(filepath.Join("..", "..", "testdata", "dashboard.png"), false)
		}
		b.Do(chromedp.Click("#pins li button"))
		b.Until("the pin is gone", `document.querySelectorAll("#pins li").length === 0`)
		b.Do(chromedp.Click(fmt.Sprintf(`button[aria-label="ban product %d"]`, hot)))
		b.Until("the banned product is not hot", fmt.Sprintf(`![...document.querySelectorAll("#hot tbody tr")].some((r) => r.cells[0].textContent === "%d")`, hot))

		b.Do(chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile, chromedp.EmulateScale(2)))
		b.Until("nothing sticks out on a phone", `document.documentElement.scrollWidth <= window.innerWidth`)
		light := b.Eval(`getComputedStyle(document.body).backgroundColor`)
		b.Dark(true)
		if dark := b.Eval(`getComputedStyle(document.body).backgroundColor`); dark == light || light != "rgb(255, 255, 255)" {
			t.Errorf("the background is %s by day and %s by night", light, dark)
		}
		for _, s := range b.Complaints() {
			if !strings.Contains(s, "401") { // the wrong token above
				t.Errorf("the browser complains: %s", s)
			}
		}

		// The process ends: the page says so and finds it again by itself.
		p.stop()
		b.Until("the loss is shown", `document.getElementById("state").className.includes("lost")`)
	})
}
