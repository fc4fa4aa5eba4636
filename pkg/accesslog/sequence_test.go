package accesslog

import (
	"fmt"
	"testing"
)

func TestSendersAreBounded(t *testing.T) {
	s := NewSequences()
	for i := range 3 * maxSenders {
		s.Note(fmt.Appendf(nil, "gw-%d", i), 1, 1)
		if duplicate, missing := s.Note([]byte("steady"), 1, uint64(i+1)); duplicate || missing > 0 {
			t.Fatalf("record %d of a steady sender: duplicate %v, missing %d", i+1, duplicate, missing)
		}
		if n := len(s.young) + len(s.old); n > maxSenders {
			t.Fatalf("%d senders are remembered, want at most %d", n, maxSenders)
		}
		if duplicate, _ := s.Note(fmt.Appendf(nil, "gw-%d", max(0, i-maxSenders/2+2)), 1, 1); !duplicate {
			t.Fatalf("a sender was forgotten after %d others", maxSenders/2-2)
		}
	}
}
