package catalog_test

import (
	"strings"
	"testing"

	"eshop/pkg/catalog"
)

// TestCanary: a canary is no change, and no change is a canary.
func TestCanary(t *testing.T) {
	cat := catalog.Default()
	message := catalog.CanaryChange("doctor-7")
	if id, ok := catalog.CanaryOf(message); !ok || id != "doctor-7" {
		t.Errorf("%s: got %q %v", message, id, ok)
	}
	if _, err := cat.ParseChange(message); err == nil {
		t.Errorf("%s is taken for a change", message)
	}
	for _, other := range []string{
		``, `7`, `{}`, `{"canary":""}`, `{"canary":7}`, `{"canary":null}`,
		`{"canary":"a","serviceId":"productInfoService","productId":1}`, `{"canary":"a","kind":"product","id":1}`,
		`{"canary":"` + strings.Repeat("a", 101) + `"}`,
	} {
		if id, ok := catalog.CanaryOf([]byte(other)); ok {
			t.Errorf("%s is taken for the canary %q", other, id)
		}
	}
	inv, err := catalog.ParseInvalidation(catalog.CanaryEcho("doctor-7"))
	if err != nil || inv.Heartbeat != "doctor-7" || inv.SentTime().Year() != 1970 {
		t.Errorf("the answer: got %+v %v, want a heartbeat of 1970", inv, err)
	}
}
