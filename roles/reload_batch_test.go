package roles

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// batch asks for the products 1 to n by one request.
func (h *reloading) batch(n int) (*http.Response, string, error) {
	ids := "1"
	for id := 2; id <= n; id++ {
		ids += fmt.Sprintf(",%d", id)
	}
	return h.ask("GET", "http://"+h.gateway("127.0.0.1")+"/api/v1/products?ids="+ids, 20*time.Second)
}

// batchesOfTwo looks whether a batch may name two ids, and no more, and whether the API's document says so.
func batchesOfTwo(h *reloading) error {
	two, text, err := h.batch(2)
	if err != nil || two.StatusCode != http.StatusOK {
		return fmt.Errorf("two ids: %v %v %s", two, err, text)
	}
	three, text, err := h.batch(3)
	if err != nil {
		return err
	}
	_, document, err := h.ask("GET", "http://"+h.gateway("127.0.0.1")+"/api/v1/openapi.json", 20*time.Second)
	return errors.Join(err, want(three.StatusCode == http.StatusBadRequest, "three ids: %s %.200s", three.Status, text),
		want(strings.Contains(document, `"maxItems": 2,`), "the document does not say so"))
}

// batchIsCut looks whether an answer to a batch holds some products of 6 KiB, and fewer than fifty.
func batchIsCut(h *reloading) error {
	resp, text, err := h.batch(50)
	if err != nil {
		return err
	}
	found, cut := strings.Count(text, `"status":"found"`), strings.Count(text, "does not fit")
	return want(resp.StatusCode == http.StatusOK && found > 1 && found+cut == 50 && cut > 0, "%s, %d products, %d are left out", resp.Status, found, cut)
}
