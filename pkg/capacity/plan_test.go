package capacity_test

import (
	"testing"
	"time"

	"eshop/pkg/capacity"
)

// TestPlans makes a plan for each load of a table, and checks that more of
// anything never takes fewer machines.
func TestPlans(t *testing.T) {
	rates, products := []float64{1e3, 1e4}, []int64{1e3, 1e4}
	shape := capacity.Fleet{Seed: 1, Warm: time.Minute, Measure: 30 * time.Second}
	if long() {
		rates, products = []float64{1e3, 1e4, 1e5, 1e6, 1e7}, []int64{1e4, 1e6, 1e8}
		shape = capacity.Fleet{Seed: 1}
	}
	var plans []capacity.Plan
	for _, rate := range rates {
		for _, n := range products {
			f := shape
			f.Rate, f.Products = rate, n
			p, err := capacity.NewPlan(f, capacity.Usual(), capacity.Assumed())
			if err != nil {
				t.Fatal(err)
			}
			plans = append(plans, p)
		}
	}
	t.Logf("\n%s", capacity.PlanTable(plans))
	for i, p := range plans {
		if p.Gateways < 2 || p.Caches < 2 || p.Masters < 3 || p.Brokers < 3 || p.Hotcounts < 2 {
			t.Errorf("%v requests/s: no machine of a role may be missed: %+v", p.Rate, p)
		}
		if p.Levels.L1 < 0 || p.Levels.L1 > 1.0001 {
			t.Errorf("%v requests/s, %d products: a share of %v in memory", p.Rate, p.Products, p.Levels.L1)
		}
		for _, q := range plans[:i] {
			if q.Rate <= p.Rate && q.Products <= p.Products && (q.Gateways > p.Gateways || q.Masters > p.Masters || q.Brokers > p.Brokers || q.Hotcounts > p.Hotcounts) {
				t.Errorf("%v requests/s for %d products take less than %v for %d:\n%+v\n%+v", p.Rate, p.Products, q.Rate, q.Products, p, q)
			}
		}
	}
}

// TestRefreshWithinTokens: each pull takes a token from ZooKeeper, so documents
// must not grow old faster than it gives them out.
func TestRefreshWithinTokens(t *testing.T) {
	c := capacity.Assumed()
	c.Tokens = 0.5
	p, err := capacity.NewPlan(capacity.Fleet{Seed: 1, Rate: 1000, Products: 5000, Warm: 20 * time.Minute, Measure: 5 * time.Minute}, capacity.Usual(), c)
	if err != nil {
		t.Fatal(err)
	}
	if p.Refresh <= time.Hour || p.Refresh%time.Hour != 0 {
		t.Errorf("documents are refreshed every %v, want whole hours above one", p.Refresh)
	}
	if p.Levels.Refreshed > 1.05*c.Tokens {
		t.Errorf("%v pulls a second to refresh, more than the %v tokens", p.Levels.Refreshed, c.Tokens)
	}
}
