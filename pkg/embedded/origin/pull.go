package origin

import (
	"net/http"
	"strings"

	"eshop/pkg/catalog"
)

// maxBatch is the highest number of ids in one request.
const maxBatch = 1000

// pullOne answers /getProductInfo and /getShopInfo.
func (s *Server) pullOne(kind, param string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := catalog.ParseID(r.URL.Query().Get(param))
		if err != nil {
			refuse(w, http.StatusBadRequest, "the parameter "+param+" is wrong: "+err.Error())
			return
		}
		if !s.pulled(w, r, kind, id) {
			return
		}
		s.show(w, catalog.Key{Kind: kind, ID: id})
	}
}

// pullMany answers /getProductInfos: the documents that exist, in any order.
func (s *Server) pullMany(kind, param string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		texts := strings.Split(r.URL.Query().Get(param), ",")
		if len(texts) > maxBatch {
			refuse(w, http.StatusBadRequest, "a batch has at most 1000 ids")
			return
		}
		ids := make([]int64, len(texts))
		for i, t := range texts {
			id, err := catalog.ParseID(t)
			if err != nil {
				refuse(w, http.StatusBadRequest, "the parameter "+param+" is wrong: "+err.Error())
				return
			}
			ids[i] = id
		}
		if s.pulled(w, r, kind, ids...) {
			s.showAll(w, kind, ids)
		}
	}
}

func (s *Server) show(w http.ResponseWriter, key catalog.Key) {
	d, ok := s.store.get(key)
	if !ok {
		refuse(w, http.StatusNotFound, "there is no "+key.String())
		return
	}
	answer(w, http.StatusOK, d.encode())
}

func (s *Server) showAll(w http.ResponseWriter, kind string, ids []int64) {
	out := []byte{'['}
	for _, id := range ids {
		if d, ok := s.store.get(catalog.Key{Kind: kind, ID: id}); ok {
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(out, d.encode()...)
		}
	}
	answer(w, http.StatusOK, append(out, ']'))
}

func answer(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the reader may be gone
}

// refuse answers {"error": sentence}.
func refuse(w http.ResponseWriter, status int, sentence string) {
	answer(w, status, document{{"error", text(sentence)}}.encode())
}
