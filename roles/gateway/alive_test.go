package gateway

import (
	"context"
	"strings"
	"testing"
	"time"

	"eshop/pkg/admin"
)

// A gateway of which a lock that requests need is held for ever is not alive, so that it is restarted; one
// that has lost everything around it is.
func TestAliveness(t *testing.T) {
	g := newRig(t, nil)
	adm := admin.New(admin.Config{}, admin.Deps{})
	adm.AddSection("gateway", func() any { return g.status() })
	look := func(limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		return adm.Alive(ctx)
	}
	if err := look(20 * time.Second); err != nil {
		t.Errorf("without any server: %v", err)
	}
	s := g.l1.index.shard(keyP7)
	s.mu.Lock()
	if err := look(50 * time.Millisecond); err == nil || !strings.Contains(err.Error(), `"gateway"`) {
		t.Errorf("with a lock that is held: got %v", err)
	}
	s.mu.Unlock()
	if err := look(20 * time.Second); err != nil {
		t.Errorf("the lock is free again: %v", err)
	}
}
