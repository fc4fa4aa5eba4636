package console

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"path"
	"slices"
	"sync"

	"eshop/pkg/admin"
	"eshop/pkg/hotlist"
)

//go:embed page
var pages embed.FS

// policy lets the page run its own script and nothing from elsewhere; nothing is
// made of text that was not made as text.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// serve mounts page and API.
func (c *Console) serve() {
	c.admin.Front(file("index.html"))
	for _, name := range []string{"console.css", "console.js", "charts.js", "actions.js", "work.js"} {
		c.admin.Handle("/"+name, file(name))
	}
	c.admin.Handle("/api/process", http.HandlerFunc(c.serveReport))
	c.admin.Handle("/api/fleet", http.HandlerFunc(c.serveView))
	c.admin.Handle("/api/fleet/explain", c.everywhere(http.MethodGet, "/api/explain"))
	c.admin.HandleChange(http.MethodPost, "/api/fleet/purge", c.everywhere(http.MethodPost, "/api/purge"))
	hotlist.API{Client: c.lists, State: func() string { return c.zk.State().String() }, Log: c.log}.Serve(c.admin)
	for _, r := range []struct {
		path string
		of   []string // roles that have it
		does []string
	}{
		{"/api/dead-letters", []string{roleCache}, []string{http.MethodGet}},
		{"/api/dead-letters/replay", []string{roleCache}, []string{http.MethodPost}},
		{"/api/dead-letters/discard", []string{roleCache}, []string{http.MethodPost}},
		{"/api/prewarm", []string{roleCache}, []string{http.MethodGet, http.MethodPost}},
		{"/api/degrade", []string{roleCache, roleGateway}, []string{http.MethodGet, http.MethodPost, http.MethodDelete}},
	} {
		if !c.admin.First(r.path) {
			continue // a role of this process has it
		}
		for _, method := range r.does {
			if h := c.relay(r.of); method == http.MethodGet {
				c.admin.Handle(r.path, h)
			} else {
				c.admin.HandleChange(method, r.path, h)
			}
		}
	}
}

func file(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		body, err := fs.ReadFile(pages, "page/"+name)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
		w.Header().Set("Content-Security-Policy", policy)
		_, _ = w.Write(body) // the reader may be gone
	}
}

func (c *Console) serveView(w http.ResponseWriter, r *http.Request) {
	if relayed(w, r) {
		return
	}
	v, err := c.look(r.Context())
	if err != nil {
		admin.Refuse(w, http.StatusServiceUnavailable, "look at the fleet: "+err.Error())
		return
	}
	admin.Answer(w, http.StatusOK, v)
}

// relayed refuses what another process has passed on: nothing goes further than one hop.
func relayed(w http.ResponseWriter, r *http.Request) bool {
	if r.Header.Get(relayHeader) == "" {
		return false
	}
	admin.Refuse(w, http.StatusBadGateway, "this process has passed it on from another one, and does not pass it on again: the role that has it is not here any more")
	return true
}

// saying is what one process said to a question put to all.
type saying struct {
	Members []Member        `json:"members"`
	Here    bool            `json:"here"`
	Error   string          `json:"error,omitempty"`
	Answer  json.RawMessage `json:"answer,omitempty"`
}

// everywhere puts a question to every gateway and cache process.
func (c *Console) everywhere(method, path string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if relayed(w, r) {
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), relayLimit)
		defer cancel()
		peers, _ := c.targets()
		peers = slices.DeleteFunc(peers, func(p *peer) bool { return !p.has([]string{roleGateway, roleCache}) })
		var mu sync.Mutex
		said, wrong := []saying{}, 0
		c.each(peers, func(p *peer) {
			one := saying{Members: p.members, Here: p.here}
			asking, cancel := context.WithTimeout(ctx, 2*askLimit)
			defer cancel()
			code, body, err := c.call(asking, p, method, path+"?"+r.URL.RawQuery, admin.Author(r))
			if err == nil && (code != http.StatusOK || !json.Valid(body)) {
				err = refusal(code, body)
			}
			if err != nil {
				one.Error = err.Error()
			} else {
				one.Answer = body
			}
			mu.Lock()
			defer mu.Unlock()
			said = append(said, one)
			if code == http.StatusBadRequest {
				wrong++
			}
		})
		slices.SortFunc(said, func(a, b saying) int { return slices.Compare(roleIDs(a.Members), roleIDs(b.Members)) })
		switch {
		case len(said) == 0:
			admin.Refuse(w, http.StatusServiceUnavailable, "ZooKeeper lists no gateway and no cache process, or is not known yet")
		case wrong == len(said): // one alone may be configured otherwise, and the others have done it
			admin.Refuse(w, http.StatusBadRequest, said[0].Error)
		default:
			admin.Answer(w, http.StatusOK, map[string]any{"processes": said})
		}
	})
}

func roleIDs(members []Member) (list []string) {
	for _, m := range members {
		list = append(list, fmt.Sprint(slices.Index(roles(), m.Role), m.ID))
	}
	return list
}

func (p *peer) has(of []string) bool {
	return slices.ContainsFunc(p.members, func(m Member) bool { return slices.Contains(of, m.Role) })
}

// relay passes a request on to a process that has the role. Only one that could
// not be reached is followed by another: a change is made once.
func (c *Console) relay(of []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if relayed(w, r) {
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), relayLimit)
		defer cancel()
		peers, _ := c.targets()
		peers = slices.DeleteFunc(peers, func(p *peer) bool { return p.here || !p.has(of) })
		c.mu.Lock()
		silent := c.silent
		c.mu.Unlock()
		slices.SortStableFunc(peers, func(a, b *peer) int { return rank(silent[a.addr]) - rank(silent[b.addr]) })
		err := fmt.Errorf("no process with the role %v is known: it needs one, and ZooKeeper (which is %v)", of, c.zk.State())
		for _, p := range peers {
			var code int
			var body []byte
			if code, body, err = c.call(ctx, p, r.Method, r.URL.RequestURI(), admin.Author(r)); err == nil {
				// What is not of the API is another listener's, or a refusal of this
				// process: 401 would have the operator's own token thrown away.
				if !json.Valid(body) {
					admin.Refuse(w, http.StatusBadGateway, fmt.Sprintf("%s at %s: %v", names(p.members), p.addr, refusal(code, body)))
					return
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(code)
				_, _ = w.Write(body) // the reader may be gone
				return
			}
			var dial *net.OpError
			if !errors.As(err, &dial) || dial.Op != "dial" {
				break
			}
		}
		admin.Refuse(w, http.StatusServiceUnavailable, err.Error())
	})
}

func rank(last bool) int {
	if last {
		return 1
	}
	return 0
}
