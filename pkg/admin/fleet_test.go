package admin_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/admin"
)

// signed is a change as another process with an admin token would pass it on.
func signed(t *testing.T, token, method, path string) map[string]string {
	t.Helper()
	r := httptest.NewRequest(method, admin.FleetPath+path, nil)
	admin.New(admin.Config{Token: token}, admin.Deps{}).Introduce(r, "10.0.0.7")
	return map[string]string{"Eshop-Author": r.Header.Get("Eshop-Author"), "Eshop-Signature": r.Header.Get("Eshop-Signature")}
}

// TestFleet: other processes read with the cluster token and change with a signature by the admin token.
func TestFleet(t *testing.T) {
	prepare := func(s *admin.Server) {
		s.Handle("/api/name", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "read by "+r.URL.Query().Get("who")) }))
		s.Handle("/secret", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "secret") }))
		s.Handle("/api/stream", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := http.NewResponseController(w).Flush(); err != nil {
				w.WriteHeader(http.StatusNotImplemented)
			}
		}))
		s.HandleChange(http.MethodPost, "/api/name", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "changed by "+admin.Author(r)) }))
	}
	bare := running(t, admin.Config{Token: token}, admin.Deps{}, prepare)
	var internal string // a listener of a role in the same process
	guarded := running(t, admin.Config{Token: token, ClusterToken: "cluster"}, admin.Deps{}, func(s *admin.Server) {
		prepare(s)
		role := httptest.NewServer(s.Fleet(false))
		t.Cleanup(role.Close)
		internal = role.Listener.Addr().String()
	})
	tokenless := running(t, admin.Config{}, admin.Deps{}, prepare)
	with := func(h map[string]string, more ...string) map[string]string {
		out := map[string]string{}
		for k, v := range h {
			out[k] = v
		}
		for i := 0; i+1 < len(more); i += 2 {
			out[more[i]] = more[i+1]
		}
		return out
	}
	good := signed(t, token, http.MethodPost, "/api/name?id=1")
	old := with(good)
	old["Eshop-Signature"] = fmt.Sprintf("%d %s", time.Now().Add(-time.Hour).UnixMilli(), strings.Split(good["Eshop-Signature"], " ")[1])
	var late map[string]string
	synctest.Test(t, func(t *testing.T) { late = signed(t, token, http.MethodPost, "/api/name?id=1") }) // in the year 2000
	tests := []struct {
		name, method, addr, path string
		headers                  map[string]string
		code                     int
		want                     string
	}{
		{"read on the same machine", http.MethodGet, bare, "/api/name?who=me", nil, 200, "read by me"},
		{"read by a rebound name", http.MethodGet, bare, "/api/name", map[string]string{"Host": "evil.example"}, 421, ""},
		{"read on the same machine where there is a cluster token", http.MethodGet, guarded, "/api/name?who=me", nil, 200, "read by me"},
		{"a stream there", http.MethodGet, guarded, "/api/stream", nil, 501, ""},
		{"read there by a rebound name", http.MethodGet, guarded, "/api/name", map[string]string{"Host": "evil.example"}, 421, ""},
		{"read without the cluster token", http.MethodGet, internal, "/api/name", nil, 401, "cluster token"},
		{"change there without it", http.MethodPost, internal, "/api/name?id=1", good, 401, "cluster token"},
		{"read with a wrong one", http.MethodGet, internal, "/api/name", map[string]string{"Authorization": "Bearer " + token}, 401, "cluster token"},
		{"read with the cluster token", http.MethodGet, internal, "/api/name?who=x", map[string]string{"Authorization": "Bearer cluster"}, 200, "read by x"},
		{"what is not in the API", http.MethodGet, bare, "/secret", nil, 404, ""},
		{"profiles", http.MethodGet, bare, "/debug/pprof/", nil, 404, ""},
		{"a stream", http.MethodGet, bare, "/api/stream", nil, 501, ""},
		{"change", http.MethodPost, bare, "/api/name?id=1", good, 200, "changed by 10.0.0.7"},
		{"change with the admin token itself", http.MethodPost, bare, "/api/name?id=1", map[string]string{"Authorization": "Bearer " + token}, 403, "not signed"},
		{"change without a cluster token", http.MethodPost, guarded, "/api/name?id=1", good, 401, ""},
		{"change with both", http.MethodPost, guarded, "/api/name?id=1", with(good, "Authorization", "Bearer cluster"), 200, "changed by 10.0.0.7"},
		{"signed for something else", http.MethodPost, bare, "/api/name?id=2", good, 403, "not signed"},
		{"signed by someone else", http.MethodPost, bare, "/api/name?id=1", with(good, "Eshop-Author", "mallory"), 403, "not signed"},
		{"signed with another token", http.MethodPost, bare, "/api/name?id=1", signed(t, "other", http.MethodPost, "/api/name?id=1"), 403, "not signed"},
		{"moved in time", http.MethodPost, bare, "/api/name?id=1", old, 403, "not signed"},
		{"signed long ago", http.MethodPost, bare, "/api/name?id=1", late, 403, "the clocks differ"},
		{"where nothing can be changed", http.MethodPost, tokenless, "/api/name?id=1", good, 403, "no admin token"},
	}
	for _, tt := range tests {
		code, _, body := ask(t, tt.method, "http://"+tt.addr+admin.FleetPath+tt.path, tt.headers)
		if code != tt.code || !strings.Contains(body, tt.want) {
			t.Errorf("%s: got %d %s, want %d %s", tt.name, code, strings.TrimSpace(body), tt.code, tt.want)
		}
	}
}

// TestFleetProven: where the listener lets in nobody else, a token is asked for only if there is one, and
// a change is signed all the same.
func TestFleetProven(t *testing.T) {
	for _, tt := range []struct {
		proven        bool
		tokens, shown string
		method        string
		want          int
	}{
		{true, "", "", http.MethodGet, 200}, {false, "", "", http.MethodGet, 403}, {true, "", "", http.MethodPost, 403},
		{true, "cluster", "", http.MethodGet, 401}, {true, "cluster", "cluster", http.MethodGet, 200},
		{false, "new\nold", "old", http.MethodGet, 200}, {false, "new\nold", "older", http.MethodGet, 401},
	} {
		s := admin.New(admin.Config{Token: token, ClusterToken: "another"}, admin.Deps{})
		s.Handle("/api/name", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
		s.HandleChange(http.MethodPost, "/api/name", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
		s.SetTokens(admin.Config{Token: token, ClusterToken: tt.tokens})
		w, r := httptest.NewRecorder(), httptest.NewRequest(tt.method, admin.FleetPath+"/api/name", nil)
		r.Header.Set("Authorization", "Bearer "+tt.shown)
		s.Fleet(tt.proven).ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("%+v: got %d", tt, w.Code)
		}
	}
}
