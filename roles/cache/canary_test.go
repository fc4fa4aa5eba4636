package cache_test

import (
	"fmt"
	"slices"
	"testing"

	"eshop/pkg/catalog"
)

// TestCanaryIsAnswered: what eshop doctor sends through the feed comes back on the
// bus, once; it is no dead letter, and the messages behind it are applied.
func TestCanaryIsAnswered(t *testing.T) {
	onBoth(t, 2, nil, func(t *testing.T, w *world) {
		bus, dead := w.collect(w.topic("invalidate")), w.collect(w.topic("dead"))
		pulls := w.servers.Origin.Count("product", 13)
		w.produce(string(catalog.CanaryChange("bird-7")), `{"serviceId":"productInfoService","productId":13}`, `{"serviceId":"nosuch"}`)
		want := string(catalog.CanaryEcho("bird-7"))
		answered := func() float64 {
			return w.metric(0, "eshop_changes_total", "outcome=canary") + w.metric(1, "eshop_changes_total", "outcome=canary")
		}
		w.until("the answer, the change and the dead letter", func() (bool, string) {
			changed := w.servers.Origin.Count("product", 13) > pulls
			return slices.Contains(bus.values(), want) && changed && dead.len() > 0 && answered() > 0, fmt.Sprint(changed, dead.len(), len(bus.values()), answered())
		})
		if n := dead.len(); n != 1 {
			t.Errorf("%d dead letters, want the one that is no canary", n)
		}
		if n := answered(); n != 1 {
			t.Errorf("%v answers were counted, want 1", n)
		}
	})
}
