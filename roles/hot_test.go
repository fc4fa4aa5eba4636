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
