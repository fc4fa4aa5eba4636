package admin

import (
	"context"
	"net/http"
	"strings"

	"eshop/pkg/catalog"
)

// URLs tells how requests for a URL are answered: as a value that encodes to JSON,
// with the documents that the answer is made of.
type URLs func(url string) (about any, documents []catalog.Key)

const (
	// maxExplainedURL bounds the URL, in bytes.
	maxExplainedURL = 8 << 10
	// maxExplained bounds the documents of a URL of which each layer's copy is told.
	maxExplained = 20
)

// ExplainURL adds GET /api/explain?url= to what Explain serves: what fn tells of a
// URL, and each layer's part for its documents. A process has one role that knows
// URLs.
func (s *Server) ExplainURL(fn URLs) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.urls = fn
}

// explainAny answers for a URL, or for kind and id.
func (s *Server) explainAny(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if !q.Has("url") {
		s.layered(s.explain).ServeHTTP(w, r)
		return
	}
	refuse := func(why string) { s.answer(w, http.StatusBadRequest, map[string]string{"error": why}) }
	url := q.Get("url")
	s.mu.Lock()
	urls, layers := s.urls, append([]layer(nil), s.layers...)
	s.mu.Unlock()
	lower := strings.ToLower(url)
	switch {
	case urls == nil:
		refuse("This process answers no pages. Ask the admin listener of a gateway about a URL.")
		return
	case q.Has("kind") || q.Has("id"):
		refuse("The request names a URL and a document. Ask for one of them: url=/product/7, or kind=product&id=7.")
		return
	case len(url) > maxExplainedURL:
		refuse("The URL is longer than a gateway reads.")
		return
	case !strings.HasPrefix(url, "/") && !strings.HasPrefix(lower, "http://") && !strings.HasPrefix(lower, "https://"):
		refuse("A URL begins with http://, with https:// or, without a host, with a slash. Escape it where it stands in another one: url=%2Fproduct%2F7.")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), explainTimeout)
	defer cancel()
	about, documents := urls(url)
	out := map[string]any{"url": url, "answer": about}
	if len(documents) > maxExplained {
		out["note"] = "Only the first 20 documents are shown."
		documents = documents[:maxExplained]
	}
	shown := make([]map[string]any, len(documents))
	for i, key := range documents {
		shown[i] = explainLayers(ctx, key, layers)
	}
	out["documents"] = shown
	s.answer(w, http.StatusOK, out)
}
