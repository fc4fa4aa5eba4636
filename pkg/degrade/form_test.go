package degrade

import (
	"strings"
	"testing"
	"time"
)

func TestForm(t *testing.T) {
	good := Switch{Kind: "product", Mode: NoOrigin, By: "oncall \"é\" at 10.0.0.1", Since: 1_700_000_000_000, Until: 1_700_000_900_000}
	for _, s := range []Switch{good, {Kind: Every, Mode: StaleOnly, Since: 1, Until: 1001}, {Kind: "a-9", Mode: StaleOnly, Since: 5, Until: 5 + MaxFor.Milliseconds()}} {
		b, err := encode(s)
		if err != nil {
			t.Fatalf("%+v: %v", s, err)
		}
		if back, err := parse(s.node(), b); err != nil || back != s {
			t.Errorf("wrote %+v, read %+v, %v", s, back, err)
		}
	}
	for name, bad := range map[string]func(*Switch){
		"no length":     func(s *Switch) { s.Until = s.Since },
		"too long":      func(s *Switch) { s.Until = s.Since + MaxFor.Milliseconds() + 1 },
		"too short":     func(s *Switch) { s.Until = s.Since + MinFor.Milliseconds() - 1 },
		"no begin":      func(s *Switch) { s.Since = 0 },
		"long name":     func(s *Switch) { s.By = strings.Repeat("x", MaxBy+1) },
		"no kind":       func(s *Switch) { s.Kind = "" },
		"kind in caps":  func(s *Switch) { s.Kind = "Product" },
		"kind's length": func(s *Switch) { s.Kind = strings.Repeat("a", 33) },
		"a path":        func(s *Switch) { s.Kind = "a/b" },
	} {
		s := good
		bad(&s)
		if b, err := encode(s); err == nil {
			t.Errorf("%s: encoded as %s", name, b)
		}
	}
	if m, err := ParseMode("no-origin+stale-only"); err == nil {
		t.Errorf("two modes at once were read as %v", m)
	}
}

// FuzzNode: whatever stands in a node, reading it neither panics nor lets
// anything through that breaks the limits, and what is read is written in a form
// that is read as the same.
func FuzzNode(f *testing.F) {
	for name, data := range map[string]string{
		"product.no-origin": `{"by":"oncall","since":1700000000000,"until":1700000900000}`,
		"*.stale-only":      `{"since":1,"until":86400001}`,
		"product.":          `{}`, "..": `null`, "a.b.no-origin": `[]`, "shop.stale-only": `{"since":-1,"until":9223372036854775807}`,
		"x.no-origin": `{"since":1e3,"until":2000}`, "y.no-origin": `{"by":"\ud800","since":1,"until":2000}`,
	} {
		f.Add(name, []byte(data))
	}
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		s, err := parse(name, data)
		if err != nil {
			return
		}
		if s.node() != name || s.Length() < MinFor || s.Length() > MaxFor || len(s.By) > MaxBy || s.Mode != NoOrigin && s.Mode != StaleOnly {
			t.Errorf("read %+v from %q", s, name)
		}
		b, err := encode(s)
		if err != nil {
			if len(s.By) > 0 { // its escapes may take more than a node has
				return
			}
			t.Fatalf("what was read is not written: %v", err)
		}
		if back, err := parse(name, b); err != nil || back != s {
			t.Errorf("wrote %+v, read %+v, %v", s, back, err)
		}
	})
}

func TestReaderNamesProblemsOnce(t *testing.T) {
	var log strings.Builder
	r := reader{log: textLog(&log)}
	nodes := map[string][]byte{"product.no-origin": []byte("{"), "shop.no-origin": []byte(`{"since":1,"until":5001}`)}
	for range 3 {
		if got := r.read(nodes); len(got) != 1 || got[0].Kind != "shop" {
			t.Errorf("read %+v, want the one that can be read", got)
		}
	}
	if n := strings.Count(log.String(), "unreadable"); n != 1 {
		t.Errorf("named %d times, want once:\n%s", n, log.String())
	}
	for i := range MaxSwitches + 5 {
		nodes["k"+strings.Repeat("a", i%30)+string(rune('a'+i/30))+".no-origin"] = []byte(`{"since":1,"until":5001}`)
	}
	for range 2 {
		if got := r.read(nodes); len(got) != MaxSwitches {
			t.Errorf("read %d switches, want at most %d", len(got), MaxSwitches)
		}
	}
	if n := strings.Count(log.String(), "too many"); n != 1 {
		t.Errorf("said %d times that there are too many, want once", n)
	}
}

func BenchmarkOf(b *testing.B) {
	for name, switches := range map[string][]Switch{"nothing": nil, "one": {{Kind: "product", Mode: NoOrigin, Since: 1, Until: time.Now().UnixMilli() + 3_600_000}}} {
		b.Run(name, func(b *testing.B) {
			var s State
			if len(switches) > 0 {
				switches[0].Since = switches[0].Until - 3_600_000
			}
			s.Replace(switches, time.Now())
			b.ReportAllocs()
			for b.Loop() {
				if s.Of("shop") != 0 {
					b.Fatal("degraded")
				}
			}
		})
	}
}
