package roles

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"eshop/pkg/console"
	"eshop/pkg/kafka"
	"eshop/pkg/lab/browser"
)

// Keys as the browser's driver names them.
const (
	keyEnter  = "\r"
	keyEscape = "\u001b"
	keyTab    = "\t"
)

const consoleToken = "correct horse battery staple"

// secretFile writes a token to a file.
func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// operator is somebody before the console of a process.
type operator struct {
	*browser.Browser
	t *testing.T
	r *running
}

// tabTo presses Tab until an element has the focus; everything on the way shows it.
func (o *operator) tabTo(what, isIt string) {
	o.t.Helper()
	for range 200 {
		o.Press(keyTab)
		if o.Eval(`document.activeElement !== document.body && getComputedStyle(document.activeElement).outlineStyle === "none"`) == "true" {
			o.t.Errorf("the focus is not visible on %s", o.Eval(`document.activeElement.outerHTML.slice(0, 120)`))
		}
		if o.Eval(`Boolean((e => `+isIt+`)(document.activeElement))`) == "true" {
			return
		}
	}
	o.t.Fatalf("Tab does not lead to %s", what)
}

// produce sends a message that the shop would send.
func (o *operator) produce(value string) {
	o.t.Helper()
	p, err := kafka.NewProducer(kafka.ProducerConfig{Config: kafka.Config{Brokers: []string{strings.TrimPrefix(o.r.addresses["kafka"], "kafka://")}}}, kafka.Deps{})
	if err != nil {
		o.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(o.t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	if err := p.Send(ctx, kafka.Record{Topic: "cache-message", Value: []byte(value)}); err != nil {
		o.t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		o.t.Error(err)
	}
}

const (
	settled = `document.getElementById("verdictTitle").textContent !== "Looking at the fleet…" && document.querySelectorAll("#members tbody tr").length === 3 &&
		[...document.querySelectorAll("#members tbody tr")].every(r => r.cells[1].textContent === "ready")`
	toast = `document.getElementById("toast").textContent`
)

// TestConsole is an operator with a keyboard before the page of a running fleet.
func TestConsole(t *testing.T) {
	r := start(t, anyPort("--admin.token-file="+secretFile(t, consoleToken))...)
	defer r.stop()
	url := strings.TrimSuffix(r.addresses["admin and console"], "/")
	o := &operator{Browser: browser.New(t), t: t, r: r}
	if code, _ := r.do("GET", strings.Replace(r.addresses["product pages"], "productId=1", "productId=7", 1), ""); code != 200 {
		t.Fatalf("the page of product 7: %d", code)
	}
	if code, body := r.do("PUT", strings.TrimSuffix(r.addresses["sample shop"], "/")+"/products/7", `{"id":7,"name":"Lamp","price":19.5,"shopId":1}`); code >= 300 {
		t.Fatalf("edit product 7: %d %s", code, body)
	}
	o.checkGuards(url)
	o.Size(1440, 900, false)
	o.Open(url + "/")
	o.Until("all three roles are ready", settled)
	o.Until("the charts have values", `document.querySelector("#charts svg").getAttribute("aria-label").includes("Now: memory ")`)
	o.checkAccess()
	o.purgeAndPinByKeyboard()
	o.deadLetters()
	o.Until("the product that was pinned is hot", `[...document.querySelectorAll("#hot tbody tr")].some(r => r.cells[0].textContent === "7" && r.cells[3].textContent === "pinned")`)
	o.checkMetrics(url)
	o.looks()
	if got := o.Eval(`[...new Set(performance.getEntriesByType("resource").map(e => new URL(e.name).origin))].join()`); got != url {
		t.Errorf("the page asked %s, want %s alone", got, url)
	}
	if got := o.Eval(`[location.href, ...performance.getEntriesByType("resource").map(e => e.name)].join(" ")`); strings.Contains(got, "horse") {
		t.Errorf("the token stands in an address: %s", got)
	}
	for _, said := range o.Complaints() {
		if !strings.Contains(said, "401") { // the wrong token
			t.Errorf("the browser complains: %s", said)
		}
	}
	r.stop()
	o.Until("the loss is shown", `document.getElementById("link").textContent.startsWith("No answer from this process")`)
}

// checkGuards looks at what protects the page.
func (o *operator) checkGuards(url string) {
	t := o.t
	resp, err := http.Get(url + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	policy := resp.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the content security policy lacks %s: %s", want, policy)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("the content security policy is %s", policy)
	}
	bearer := []string{"Authorization", "Bearer " + consoleToken}
	for _, path := range []string{"/api/fleet/purge?kind=product&id=7", "/api/dead-letters/replay?partition=0&offset=0", "/api/dead-letters/discard?partition=0&offset=0", "/api/pin?id=7"} {
		if code, _ := o.r.do("GET", url+path, "", bearer...); code != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: %d, want 405", path, code)
		}
		for name, headers := range map[string][]string{"Origin": {"Origin", "http://evil.example"}, "Sec-Fetch-Site": {"Sec-Fetch-Site", "cross-site"}} {
			if code, _ := o.r.do("POST", url+path, "", append(headers, bearer...)...); code != http.StatusForbidden {
				t.Errorf("POST %s for another site (%s): %d, want 403", path, name, code)
			}
		}
		if code, _ := o.r.do("POST", url+path, ""); code != http.StatusUnauthorized {
			t.Errorf("POST %s without the token: %d, want 401", path, code)
		}
	}
}

// checkMetrics holds the names that the page follows against those that there are.
func (o *operator) checkMetrics(url string) {
	_, metrics := o.r.do("GET", url+"/metrics", "")
	for _, name := range console.Metrics() {
		if name != "eshop_tls_cert_expiry_seconds" && !strings.Contains(metrics, "# HELP "+name+" ") { // that one is for those who have a certificate
			o.t.Errorf("the console follows %s, which no role has", name)
		}
	}
}

// checkAccess looks for what a screen reader needs.
func (o *operator) checkAccess() {
	for what, script := range map[string]string{
		"fields without a label":       `[...document.querySelectorAll("input, select")].filter(e => !e.labels.length).map(e => e.id)`,
		"buttons without a name":       `[...document.querySelectorAll("button")].filter(e => !e.textContent.trim() && !e.ariaLabel && e.id !== "confirmOk").map(e => e.outerHTML)`,
		"columns without a scope":      `[...document.querySelectorAll("th")].filter(e => !e.scope).map(e => e.outerHTML)`,
		"regions without a title":      `[...document.querySelectorAll("section")].filter(e => !e.ariaLabel && !document.getElementById(e.getAttribute("aria-labelledby"))).map(e => e.outerHTML.slice(0, 80))`,
		"ids that are there twice":     `[...document.querySelectorAll("[id]")].map(e => e.id).filter((id, i, all) => all.indexOf(id) !== i)`,
		"drawings without a text":      `[...document.querySelectorAll("svg")].filter(e => !e.getAttribute("aria-label")).map(e => e.outerHTML.slice(0, 80))`,
		"what is clicked, no button":   `[...document.querySelectorAll("[onclick], [role=button]")].map(e => e.outerHTML)`,
		"live regions (want at least)": `document.querySelectorAll("[role=status], [aria-live=polite]").length >= 3 ? [] : ["fewer than three"]`,
	} {
		if got := o.Eval(`(` + script + `).join("\n")`); got != "" {
			o.t.Errorf("%s: %s", what, got)
		}
	}
}

func (o *operator) purgeAndPinByKeyboard() {
	row := func(who string) string {
		return `[...document.querySelectorAll("#explained tbody tr")].find(r => r.cells[1].textContent.startsWith("` + who + `"))`
	}
	o.tabTo("the field of the explain box", `e.id === "id"`)
	o.Press("7" + keyEnter)
	o.Until("the gateway's copy, as the owner's", row("gateway")+`?.cells[2].textContent === "live" && `+row("gateway")+`.cells[1].textContent.includes("owner")`)
	for who, columns := range map[string]string{"gateway": "[2, 3, 4, 5, 6]", "master": "[2, 3, 4]", "replica": "[2, 3, 4]"} {
		if got := o.Eval(columns + `.map(i => ` + row(who) + `.cells[i].textContent).every(Boolean)`); got != "true" {
			o.t.Errorf("the line of %s lacks state, stamp or age: %s", who, o.Eval(row(who)+`.outerHTML`))
		}
	}
	o.tabTo("the purge", `e.textContent === "Purge from every memory"`)
	o.Press(keyEnter)
	o.Until("it is asked first, and what is safe has the focus", `document.getElementById("confirmDialog").open && document.activeElement.id === "confirmCancel"`)
	o.Press(keyEscape)
	o.Until("Escape does nothing but close", `!document.getElementById("confirmDialog").open && document.activeElement.textContent === "Purge from every memory" && !document.activeElement.ariaBusy`)
	o.Press(keyEnter)
	o.Until("it is asked again", `document.getElementById("confirmDialog").open`)
	o.tabTo("the purge's confirmation", `e.id === "confirmOk"`)
	o.Press(keyEnter)
	o.Until("the token is asked for", `document.getElementById("tokenDialog").open && document.activeElement.id === "token"`)
	o.Press("a wrong one" + keyEnter)
	o.Until("it is refused", `document.getElementById("tokenDialog").open && document.getElementById("tokenText").textContent.includes("not the one")`)
	o.Press(consoleToken + keyEnter)
	o.Until("it is purged", toast+`.startsWith("Purged: 1 of 1 process")`)
	o.Until("the gateway has nothing", row("gateway")+`?.cells[2].textContent === "nothing"`)
	o.tabTo("the pin", `e.textContent === "Pin as hot"`)
	o.Press(keyEnter)
	o.Until("it is pinned", `document.querySelector("#marks strong")?.textContent === "Pinned: 7"`)
	if got := o.Eval(`document.activeElement.textContent`); got != "Pin as hot" {
		o.t.Errorf("the focus has moved to %q", got)
	}
}

// deadLetters: a message that nobody can read is sent again, comes back, and is discarded.
func (o *operator) deadLetters() {
	o.produce(`{"serviceId":"nobody`)
	line := func(offset int) string {
		return fmt.Sprintf(`[...document.querySelectorAll("#dead tbody tr")].find(r => r.cells[0].textContent === "0/%d")`, offset)
	}
	press := func(offset int, name string) string {
		return fmt.Sprintf(`(b => b ? (b.click(), true) : false)(document.querySelector('button[aria-label="%s letter 0/%d"]'))`, name, offset)
	}
	again := `(document.hidden || document.dispatchEvent(new Event("visibilitychange")), true) && `
	o.Until("the letter is there", again+line(0)+`?.cells[3].textContent === "open"`)
	if got := o.Eval(line(0) + `.cells[2].textContent`); !strings.Contains(got, `{"serviceId":"nobody`) || !strings.Contains(got, "JSON") {
		o.t.Errorf("the letter shows %s, want message and reason", got)
	}
	o.Until("it can be sent again", press(0, "replay"))
	o.Until("it is sent again", line(0)+`?.cells[3].textContent.startsWith("replayed by 127.0.0.1")`)
	o.Until("it comes back", again+line(1)+`?.cells[3].textContent === "open"`)
	o.Until("it can be discarded", press(1, "discard"))
	o.Until("it is asked first", `document.getElementById("confirmDialog").open && document.getElementById("confirmOk").textContent === "Discard"`)
	o.Eval(`document.getElementById("confirmOk").click()`)
	o.Until("it is discarded", line(1)+`?.cells[3].textContent.startsWith("discarded by")`)
	o.Until("none is open", `document.getElementById("deadNote").textContent.startsWith("0 open of 2")`)
	o.Until("the finding stands first", again+`document.querySelector("#findings h3")?.textContent === "EshopDeadLetters"`)
}

// contrast lists texts that do not stand out from their ground as WCAG's AA asks.
const contrast = `(() => {
	const parse = c => { const m = c.match(/[\d.]+/g).map(Number); return c.startsWith("color(srgb") ? [m[0]*255, m[1]*255, m[2]*255, m[3] ?? 1] : [m[0], m[1], m[2], m[3] ?? 1]; };
	const over = (a, b) => a.slice(0, 3).map((v, i) => v * a[3] + b[i] * (1 - a[3])).concat(1);
	const ground = e => { const b = e ? parse(getComputedStyle(e).backgroundColor) : [255, 255, 255, 1]; return b[3] === 1 ? b : over(b, ground(e && e.parentElement)); };
	const light = c => c.slice(0, 3).map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
	const bad = [];
	for (const e of document.querySelectorAll("body *")) {
		if (!e.checkVisibility() || e.disabled || ![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
		const s = getComputedStyle(e), back = ground(e), a = light(over(parse(e.ownerSVGElement ? s.fill : s.color), back)), b = light(back);
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), size = parseFloat(s.fontSize), large = size >= 24 || size >= 18.66 && s.fontWeight >= 700;
		if (ratio < (large ? 3 : 4.5)) bad.push(ratio.toFixed(2) + " " + e.tagName + " " + e.textContent.slice(0, 40));
	}
	return bad.join("\n");
})()`

// looks: by day and by night, on a desk and in a hand. With ESHOP_TEST_PICTURES it
// leaves pictures in that directory.
func (o *operator) looks() {
	grounds := map[string]bool{}
	for _, size := range []struct {
		width, height int64
		phone         bool
	}{{1440, 900, false}, {390, 844, true}} {
		for _, dark := range []bool{false, true} {
			name := fmt.Sprintf("console-%d-%s", size.width, map[bool]string{false: "light", true: "dark"}[dark])
			o.Size(size.width, size.height, size.phone)
			o.Dark(dark)
			o.Until(name+": nothing sticks out", `document.documentElement.scrollWidth <= window.innerWidth`)
			if got := o.Eval(`[...document.querySelectorAll("td, th, button, h2, p, li")].filter(e => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== "inline" && !e.closest(".hidden")).map(e => e.textContent.slice(0, 60)).join("\n")`); got != "" {
				o.t.Errorf("%s: cut off: %s", name, got)
			}
			grounds[o.Eval(`getComputedStyle(document.body).backgroundColor`)] = true
			if got := o.Eval(contrast); got != "" {
				o.t.Errorf("%s: too little contrast:\n%s", name, got)
			}
			if dir := os.Getenv("ESHOP_TEST_PICTURES"); dir != "" {
				o.Eval(`(window.scrollTo(0, 0), document.activeElement.blur(), document.getElementById("toast").textContent = "")`)
				o.Picture(filepath.Join(dir, name+".png"), true)
			}
		}
	}
	if len(grounds) != 2 {
		o.t.Errorf("the grounds are %v, want one by day and one by night", grounds)
	}
	o.Size(1440, 900, false)
	o.Dark(false)
}
