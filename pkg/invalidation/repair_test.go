package invalidation_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/invalidation"
)

// Every repair is counted under its cause; the log gets ten lines a second and
// tells how many it did not get.
func TestRepairsAreCountedAndLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		r := invalidation.NewRepairs(slog.New(slog.NewTextHandler(&out, nil)))
		one := invalidation.Repair{Key: catalog.Key{Kind: "product", ID: 7}, Cause: invalidation.ByFailover,
			Found: catalog.Stamp{Version: 1, Token: 10}, Expected: catalog.Stamp{Version: 2, Token: 20}}
		time.Sleep(time.Second - time.Duration(time.Now().Nanosecond())) // the begin of a second
		r.Done(one)
		for _, want := range []string{"kind=product id=7 cause=failover found=0.1.10 expected=0.2.20 unlogged=0"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the log says %q, want %q in it", out.String(), want)
			}
		}
		for range 99 {
			r.Done(one)
		}
		if got := strings.Count(out.String(), "\n"); got != 10 {
			t.Errorf("%d lines for 100 repairs in one second, want 10", got)
		}
		out.Reset()
		time.Sleep(time.Second)
		one.Cause = invalidation.ByAudit
		r.Done(one)
		if !strings.Contains(out.String(), "unlogged=90") {
			t.Errorf("the next second's line says %q, want unlogged=90 in it", out.String())
		}
		if a, b := r.Count(invalidation.ByFailover), r.Count(invalidation.ByAudit); a != 100 || b != 1 {
			t.Errorf("counted %d and %d, want 100 and 1", a, b)
		}
	})
}
