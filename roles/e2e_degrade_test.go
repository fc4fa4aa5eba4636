package roles_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"eshop/pkg/degrade"
	"eshop/pkg/zookeeper"
)

// scenarioDegrade: a switch that is set anywhere holds everywhere, and when it
// ends, by hand or by its time, everything goes on without a restart.
func scenarioDegrade(t *testing.T, f *fleet) {
	zk, err := zookeeper.New(zookeeper.Config{Servers: f.zk, Root: "/" + f.name}, zookeeper.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	background(t, "zookeeper", zk.Run)
	operator := degrade.New(degrade.Deps{Session: zk})
	cold := int64(310)
	pulls := func() (n int64) {
		for key, of := range f.shop.Pulls() {
			if key.Kind == "product" && key.ID >= 300 && key.ID < 400 {
				n += of
			}
		}
		return n
	}
	eachShows := func(what string, path string, ok func(answer) bool) {
		t.Helper()
		for _, g := range f.gateways {
			f.until(what, func() (bool, string) {
				a := f.get(g, path)
				return ok(a), fmt.Sprintf("%s: %d %s", g, a.status, a.header.Get("Cache-Status"))
			})
		}
	}
	price := func(want string) func(answer) bool {
		return func(a answer) bool {
			return a.status == http.StatusOK && strings.Contains(a.body, want) && !strings.Contains(a.header.Get("Cache-Status"), "degraded")
		}
	}
	for i, mode := range degrade.All() {
		f.edit(http.MethodPut, "/products/300", fmt.Sprintf(`{"price":30%d.5}`, i))
		f.change(`{"serviceId":"productInfoService","productId":300}`)
		eachShows("the page before", page(300), price(fmt.Sprintf("30%d.5", i)))
		if _, err := operator.Set(t.Context(), "product", mode, time.Hour, "oncall"); err != nil {
			t.Fatal(err)
		}
		eachShows("the switch", page(300), func(a answer) bool {
			return a.status == http.StatusOK && strings.Contains(a.header.Get("Cache-Status"), "degraded="+mode.String())
		})
		// An unknown one each time, for a cache process that has not heard yet has it pulled.
		for _, g := range f.gateways {
			f.until("what has no copy is refused", func() (bool, string) {
				cold++
				a := f.get(g, page(cold))
				return a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "", fmt.Sprint(a.status)
			})
		}
		before := pulls()
		f.edit(http.MethodPut, "/products/300", fmt.Sprintf(`{"price":31%d.5}`, i))
		f.change(`{"serviceId":"productInfoService","productId":300}`)
		if mode == degrade.StaleOnly {
			// Until the owner has heard of it too, who has heard of it takes no page of the owner's.
			eachShows("a page that is older than the change", page(300), func(a answer) bool {
				return a.status == http.StatusOK && strings.Contains(a.header.Get("Cache-Status"), "stale;")
			})
		}
		for range 30 {
			for _, g := range f.gateways {
				if a := f.get(g, page(300)); a.status != http.StatusOK || !strings.Contains(a.header.Get("Cache-Status"), "degraded="+mode.String()) {
					t.Errorf("%v: %d %s, want the page, marked", mode, a.status, a.header.Get("Cache-Status"))
				}
				if a := f.get(g, page(cold)); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
					t.Errorf("%v: %d for what has no copy, want 503 with Retry-After", mode, a.status)
				}
			}
		}
		if n := pulls(); mode == degrade.NoOrigin && n != before {
			t.Errorf("%d pulls while there is to be none", n-before)
		}
		if mode == degrade.NoOrigin {
			_, err = operator.Clear(t.Context(), "product", mode, "oncall")
		} else {
			_, err = operator.Set(t.Context(), "product", mode, time.Second, "oncall")
		}
		if err != nil {
			t.Fatal(err)
		}
		eachShows("the change that came meanwhile", page(300), price(fmt.Sprintf("31%d.5", i)))
		eachShows("what was refused", page(cold), func(a answer) bool { return a.status == http.StatusOK })
	}
}
