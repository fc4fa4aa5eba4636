package hotcount

import (
	"strings"
	"testing"

	"eshop/pkg/hotlist"
)

// TestIDIsBounded: an id that the lists refuse is refused at the start.
func TestIDIsBounded(t *testing.T) {
	for _, length := range []int{hotlist.MaxHolder, hotlist.MaxHolder + 1} {
		cfg := Config{ID: strings.Repeat("x", length)}
		err := cfg.complete()
		if refused := err != nil && strings.Contains(err.Error(), "--hotcount.id has 257 bytes"); refused != (length > hotlist.MaxHolder) {
			t.Errorf("an id of %d bytes: %v", length, err)
		}
	}
}
