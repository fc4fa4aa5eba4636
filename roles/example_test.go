package roles

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestREADMEKinds: the README's example of more kinds and pages is a file that works, and the built-in
// entries it names keep what it does not mention.
func TestREADMEKinds(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "```yaml\nkinds:")
	example, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("the README has no example that begins with kinds")
	}
	file := filepath.Join(t.TempDir(), "eshop.yaml")
	if err := os.WriteFile(file, []byte("kinds:"+example), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := call(t, nil, "", "all", "--check-config", "--config="+file)
	if code != exitClean {
		t.Fatalf("got code %d: %s", code, stderr)
	}
	_, sections, _ := strings.Cut(stdout, "kinds:")
	for _, want := range []string{"name: category", "prefix: product_info_", "prefix: shop_info_", "path: /product", "- shop", "- category"} {
		if !strings.Contains(sections, want) {
			t.Errorf("lacks %q:\n%s", want, sections)
		}
	}
}
