package guide_test

import (
	"strings"
	"testing"
	"time"

	"eshop/pkg/lab"
)

// TestTour does what the README tells a newcomer to do first.
func TestTour(t *testing.T) {
	m := machine{dir: sources(t), wrapped: alone(t)}
	began := time.Now()
	var all *lab.Process
	said := map[string]string{ // what a block has to write, by a part of the block
		"curl -sI":             `detail="v=`,
		"api/explain":          `"stamp"`,
		"publish":              "product",
		"doctor":               "a cache process answered on the bus",
		`-d '{"price": 4999}'`: "4999",
	}
	met := make(map[string]bool)
	for _, b := range blocks(t, "Two commands", "A tour") {
		for _, link := range b.open {
			m.run(t, "curl -fsS "+link)
		}
		if strings.HasPrefix(b.text, "go run . all") {
			if all != nil {
				all.Stop(30 * time.Second)
			}
			all = m.start(t, b.text)
			all.WaitOutput("eshop is ready", 5*time.Minute)
			continue
		}
		out := m.run(t, b.text)
		for part, want := range said {
			if strings.Contains(b.text, part) {
				met[part] = true
				if !strings.Contains(out, want) {
					t.Errorf("lacks %q:\n%s\n%s", want, b.text, out)
				}
			}
		}
	}
	for part := range said {
		if !met[part] {
			t.Errorf("no block of the tour has %q any more", part)
		}
	}
	t.Logf("the tour took %.0f s without reading", time.Since(began).Seconds())
}
