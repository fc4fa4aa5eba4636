package origin_test

import (
	"errors"
	"net/http"
	"testing"

	"eshop/pkg/catalog"
	"eshop/pkg/origin"
)

// TestProbe: a look is one request each, also when the breaker is open, and tells
// what came of it.
func TestProbe(t *testing.T) {
	s := serve(t, nil)
	c := client(t, origin.Config{BaseURL: s.URL}, origin.Deps{})
	if r, took, err := c.Probe(t.Context(), product(7)); err != nil || r.State != catalog.Live || r.Field != "modifiedTime" || took <= 0 {
		t.Errorf("a document: got %+v in %v, %v", r, took, err)
	}
	if r, _, err := c.Probe(t.Context(), product(1<<62)); err != nil || r.State != catalog.Absent {
		t.Errorf("one that does not exist: got %+v, %v", r, err)
	}
	if found, err := c.ProbeBatch(t.Context(), "product", []int64{1, 2, 1 << 62}); err != nil || len(found) != 2 {
		t.Errorf("a batch: got %v, %v", found, err)
	}
	if _, err := c.ProbeBatch(t.Context(), "shop", []int64{1}); err == nil {
		t.Error("a kind without a batch form is no error")
	}
	if _, _, err := c.Probe(t.Context(), catalog.Key{Kind: "toy", ID: 1}); err == nil {
		t.Error("an unknown kind is no error")
	}
	s.answers(status(http.StatusInternalServerError))
	for range 50 { // more than open the breaker of pulls
		var refused *origin.StatusError
		if _, _, err := c.Probe(t.Context(), product(7)); !errors.As(err, &refused) || refused.Status != 500 {
			t.Fatalf("a failing origin: got %v, want its status", err)
		}
	}
	s.answers(answerDocuments)
	if _, err := c.Pull(t.Context(), product(7)); err != nil {
		t.Errorf("a pull after failed looks: got %v, want the document: they are not the breaker's", err)
	}
	s.answers(text("<html>"))
	if _, _, err := c.Probe(t.Context(), product(7)); !errors.Is(err, origin.ErrBadAnswer) {
		t.Errorf("a page: got %v, want ErrBadAnswer", err)
	}
}
