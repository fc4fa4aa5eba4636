package origin

import (
	"net"
	"net/http"
)

func (s *Server) routes() http.Handler {
	edits := http.NewServeMux()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /getProductInfo", s.pullOne(kindProduct, "productId"))
	mux.HandleFunc("GET /getProductInfos", s.pullMany(kindProduct, "productIds"))
	mux.HandleFunc("GET /getShopInfo", s.pullOne(kindShop, "shopId"))
	mux.HandleFunc("GET /pictures/{name}", s.picture)
	mux.HandleFunc("GET /{$}", s.page("index.html", "text/html; charset=utf-8"))
	mux.HandleFunc("GET /index.js", s.page("index.js", "text/javascript; charset=utf-8"))
	mux.HandleFunc("GET /index.css", s.page("index.css", "text/css; charset=utf-8"))
	for path, kind := range map[string]string{"/products": kindProduct, "/shops": kindShop} {
		mux.HandleFunc("GET "+path, s.list(kind))
		mux.HandleFunc("GET "+path+"/{id}", s.look(kind))
		edits.HandleFunc("PUT "+path+"/{id}", s.put(kind))
		edits.HandleFunc("DELETE "+path+"/{id}", s.remove(kind))
		guarded := ownPagesOnly(edits)
		mux.Handle("PUT "+path+"/{id}", guarded)
		mux.Handle("DELETE "+path+"/{id}", guarded)
	}
	return mux
}

// ownPagesOnly keeps the pages of other sites from editing through a visitor's
// browser. The browser says where a request comes from, unless the other site
// made its own name point to this address; so the name must be this server's.
// Programs that are no browsers are not concerned.
func ownPagesOnly(next http.Handler) http.Handler {
	origins := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := origins.Check(r); err != nil {
			refuse(w, http.StatusForbidden, "edits from the pages of other sites are refused")
			return
		}
		if r.Header.Get("Origin") != "" && !plainHost(r.Host) {
			refuse(w, http.StatusForbidden, "edits from a page are possible under this server's address only, not under a name like "+r.Host)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// plainHost reports whether a Host header is an address or localhost.
func plainHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return host == "localhost" || net.ParseIP(host) != nil
}
