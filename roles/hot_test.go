package roles_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"eshop/pkg/hotlist"
)

// quickRule lets a product cool within seconds.
func quickRule() hotlist.Rule {
	r := hotlist.DefaultRule()
	r.Window, r.Hold = hotlist.Duration(2*time.Second), hotlist.Duration(time.Second)
	return r
}

// hitHere says whether an answer came from the gateway's own copy, and whether
// it holds the product to be hot.
func hitHere(a answer) (hit, hot bool) {
	status := a.header.Get("Cache-Status")
	own := status[max(0, strings.LastIndex(status, "eshop;")):]
	return strings.HasPrefix(own, "eshop; hit"), strings.Contains(own, "hot;")
}

// scenarioHot: requests at one gateway make a product hot; every gateway gets a
// copy of its own before anybody asks there, shows a change at once, and gives
// the product back to its owner when it has cooled.
func scenarioHot(t *testing.T, f *fleet) {
	const id = 700
	path := fmt.Sprintf("/product?productId=%d&shopId=20", id)
	f.edit(http.MethodPut, fmt.Sprintf("/products/%d", id), `{"name":"a quiet kettle","shopId":20}`)
	for range 2 * f.rule.Floor {
		f.get(f.gateways[0], path)
	}
	for _, g := range f.gateways {
		f.until("its own copy at "+g, func() (bool, string) {
			a := f.get(g, path)
			hit, hot := hitHere(a)
			return hit && hot, a.header.Get("Cache-Status")
		})
	}
	f.edit(http.MethodPut, fmt.Sprintf("/products/%d", id), `{"name":"a loud kettle"}`)
	f.change(fmt.Sprintf(`{"serviceId":"productInfoService","productId":%d}`, id))
	for _, g := range f.gateways {
		f.until("the change at "+g, func() (bool, string) {
			a := f.get(g, path)
			return strings.Contains(a.body, "a loud kettle"), a.body
		})
	}
	others := 0
	for _, g := range f.gateways {
		f.untilEvery(50*time.Millisecond, "cooled at "+g, func() (bool, string) { // asking faster would keep it hot
			a := f.get(g, path)
			_, hot := hitHere(a)
			return !hot, a.header.Get("Cache-Status")
		})
	}
	for _, g := range f.gateways {
		if a := f.get(g, path); strings.Contains(a.header.Get("Cache-Status"), "peer; owner=") {
			others++
		}
	}
	if others != len(f.gateways)-1 {
		t.Errorf("%d gateways ask the owner of a product that has cooled, want all but the owner, %d", others, len(f.gateways)-1)
	}
}

// scenarioHotBatch: a product that is asked for through batches alone, at one gateway, turns hot at all of them; those
// that are asked for beside it, each now and then, do not.
func scenarioHotBatch(t *testing.T, f *fleet) {
	const id, others = 850, 100 // of the thousand that there are
	batches := 0
	f.until("a copy of its own at every gateway", func() (bool, string) {
		for range 20 {
			ids := fmt.Sprint(id)
			for n := range 2 {
				ids += fmt.Sprintf(",%d", id+1+(2*batches+n)%others)
			}
			batches++
			if a := f.get(f.gateways[0], "/api/v1/products?ids="+ids); a.status != http.StatusOK || strings.Contains(a.body, "unavailable") {
				t.Fatalf("batch %s: %d %.600s", ids, a.status, a.body)
			}
		}
		var said []string
		own := 0
		for _, g := range f.gateways {
			status := f.get(g, fmt.Sprintf("/api/v1/products?ids=%d", id)).header.Get("Cache-Status")
			if said = append(said, status); strings.Contains(status, "; l1=1;") {
				own++
			}
		}
		return own == len(f.gateways), fmt.Sprint(batches, " batches: ", said)
	})
	for _, g := range f.gateways {
		if _, hot := hitHere(f.get(g, page(id))); !hot {
			t.Errorf("%s does not hold it to be hot", g)
		}
		if _, hot := hitHere(f.get(g, page(id+1))); hot {
			t.Errorf("%s holds one of the others to be hot", g)
		}
	}
}
