package origin

import (
	"embed"
	"net/http"
	"strconv"

	"eshop/pkg/catalog"
)

//go:embed page
var pageFiles embed.FS

// page serves one embedded file of the index page, which loads nothing from
// elsewhere and runs no script but its own file.
func (s *Server) page(name, contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		body, err := pageFiles.ReadFile("page/" + name)
		if err != nil {
			refuse(w, http.StatusInternalServerError, err.Error())
			return
		}
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		_, _ = w.Write(body)
	}
}

// look shows a document to an editor; it is no pull.
func (s *Server) look(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if key, _, ok := target(w, r, kind); ok {
			s.show(w, key)
		}
	}
}

// list answers ?from=<id>&n=<count, at most 100>.
func (s *Server) list(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		from, n := int64(1), 20
		q := r.URL.Query()
		if v := q.Get("from"); v != "" {
			id, err := catalog.ParseID(v)
			if err != nil {
				refuse(w, http.StatusBadRequest, "the parameter from is wrong: "+err.Error())
				return
			}
			from = id
		}
		if v := q.Get("n"); v != "" {
			count, err := strconv.Atoi(v)
			if err != nil || count < 1 || count > 100 {
				refuse(w, http.StatusBadRequest, "the parameter n is a number from 1 to 100")
				return
			}
			n = count
		}
		out := []byte{'['}
		for i, d := range s.store.list(kind, from, n) {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(out, d.encode()...)
		}
		answer(w, http.StatusOK, append(out, ']'))
	}
}
