package admin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"eshop/pkg/catalog"
)

// layer is what one role of this process tells of a document and does to it.
type layer struct {
	role    string
	explain func(ctx context.Context, key catalog.Key) any
	purge   func(key catalog.Key) bool
}

// explainTimeout bounds the look into every layer.
const explainTimeout = 2 * time.Second

// Explain adds a role's part to GET /api/explain?kind=&id=: what it holds of the
// document, as a value that encodes to JSON.
func (s *Server) Explain(role string, fn func(ctx context.Context, key catalog.Key) any) {
	s.addLayer(layer{role: role, explain: fn})
}

// Purge adds a role's part to POST /api/purge?kind=&id=: it drops the role's own
// copy and reports whether there was one. Redis is not touched: what it holds is
// never older than any copy.
func (s *Server) Purge(role string, fn func(key catalog.Key) bool) {
	s.addLayer(layer{role: role, purge: fn})
}

func (s *Server) addLayer(l layer) {
	s.mu.Lock()
	first := len(s.layers) == 0
	s.layers = append(s.layers, l)
	s.mu.Unlock()
	if first {
		s.Handle("/api/explain", http.HandlerFunc(s.explainAny))
		s.HandleChange(http.MethodPost, "/api/purge", s.layered(s.purge))
	}
}

// layered reads kind and id and hands over a copy of the list.
func (s *Server) layered(fn func(http.ResponseWriter, *http.Request, catalog.Key, []layer)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		key := catalog.Key{Kind: q.Get("kind")}
		id, err := catalog.ParseID(q.Get("id"))
		if err == nil && key.Kind == "" {
			err = fmt.Errorf("the parameter kind is missing: kind=product&id=7")
		}
		if cat := s.deps.Catalog; err == nil && cat != nil && cat.Kind(key.Kind) == nil {
			err = fmt.Errorf("the kind %q is not configured: it is one of %v", key.Kind, cat.KindNames())
		}
		if err != nil {
			s.answer(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		key.ID = id
		s.mu.Lock()
		layers := append([]layer(nil), s.layers...)
		s.mu.Unlock()
		fn(w, r, key, layers)
	})
}

func (s *Server) explain(w http.ResponseWriter, r *http.Request, key catalog.Key, layers []layer) {
	ctx, cancel := context.WithTimeout(r.Context(), explainTimeout)
	defer cancel()
	s.answer(w, http.StatusOK, explainLayers(ctx, key, layers))
}

func explainLayers(ctx context.Context, key catalog.Key, layers []layer) map[string]any {
	out := map[string]any{"kind": key.Kind, "id": key.ID}
	for _, l := range layers {
		if l.explain != nil {
			out[l.role] = l.explain(ctx, key)
		}
	}
	return out
}

func (s *Server) purge(w http.ResponseWriter, _ *http.Request, key catalog.Key, layers []layer) {
	purged := map[string]bool{}
	for _, l := range layers {
		if l.purge != nil {
			purged[l.role] = l.purge(key)
		}
	}
	s.deps.Log.Info("purged by an operator", "key", key)
	s.answer(w, http.StatusOK, map[string]any{"kind": key.Kind, "id": key.ID, "purged": purged})
}

// Copy is a document as the admin API shows it.
type Copy struct {
	State       string          `json:"state"`
	Stamp       string          `json:"stamp"`
	Version     int64           `json:"version"`
	Field       string          `json:"versionField,omitempty"`
	Pulled      *time.Time      `json:"pulled,omitempty"`
	Age         string          `json:"age,omitempty"`
	Provisional bool            `json:"provisional,omitempty"`
	Body        json.RawMessage `json:"body,omitempty"`
	// Raw is the body in base64 when it is no JSON.
	Raw string `json:"raw,omitempty"`
}

// CopyOf describes a document for the admin API.
func CopyOf(d catalog.Document) Copy {
	c := Copy{State: d.State.String(), Stamp: d.Stamp.String(), Version: d.Stamp.Version, Field: d.Field, Provisional: d.Provisional}
	if !d.Pulled.IsZero() {
		c.Pulled, c.Age = &d.Pulled, time.Since(d.Pulled).Round(time.Millisecond).String()
	}
	if json.Valid(d.Body) {
		c.Body = d.Body
	} else if len(d.Body) > 0 {
		c.Raw = base64.StdEncoding.EncodeToString(d.Body)
	}
	return c
}
