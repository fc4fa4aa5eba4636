package origin_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"eshop/pkg/catalog"
	"eshop/pkg/origin"
)

// What is held back is not sent, in any form, says why, and harms neither
// another kind nor the breaker; as soon as it is not, it is sent.
func TestHeld(t *testing.T) {
	s := serve(t, nil)
	why := errors.New("an operator wants it so")
	var held atomic.Bool
	c := client(t, origin.Config{BaseURL: s.URL}, origin.Deps{Held: func(kind string) error {
		if kind == "product" && held.Load() {
			return why
		}
		return nil
	}})
	held.Store(true)
	for range 50 { // more than the breaker has patience for
		if _, err := c.Pull(t.Context(), product(7)); !errors.Is(err, origin.ErrHeld) || !errors.Is(err, why) {
			t.Fatalf("a pull: %v, want ErrHeld and the reason", err)
		}
		out, err := c.PullMany(t.Context(), []catalog.Key{product(7), product(8)})
		if err != nil || !errors.Is(out[0].Err, origin.ErrHeld) || !errors.Is(out[1].Err, why) {
			t.Fatalf("two at once: %v, %v", out, err)
		}
	}
	if n, _, _ := s.seen(); n != 0 {
		t.Errorf("%d requests were sent, want none", n)
	}
	if _, err := c.Pull(t.Context(), shop(7)); err != nil {
		t.Errorf("another kind: %v", err)
	}
	held.Store(false)
	if got, err := c.Pull(t.Context(), product(7)); err != nil || got.State != catalog.Live {
		t.Errorf("afterwards: %v, %v", got.State, err)
	}
}
