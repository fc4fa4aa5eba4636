package gateway

import (
	"fmt"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/catalog"
)

// explainedURL is how a GET for a URL is answered here.
type explainedURL struct {
	// Route is what the URL asks for, "" if that is nothing: "page", "products" for
	// several by the API, "description" for that of the API.
	Route string `json:"route,omitempty"`
	// Says tells it in sentences.
	Says string `json:"says"`
	// Status is that of an answer which needs no look at any document.
	Status int               `json:"status,omitempty"`
	Page   *explainedPage    `json:"page,omitempty"`
	Pages  []string          `json:"pages,omitempty"` // of several products
	Forms  map[string]inForm `json:"forms,omitempty"`
}

// explainedPage is the page that a URL names.
type explainedPage struct {
	Path   string `json:"path"`   // of the page's type
	Target string `json:"target"` // in the form in which gateways ask each other
	Owner  string `json:"owner,omitempty"`
	Hot    bool   `json:"hot"`
	// OnlyJSON: the URL itself asks for JSON; otherwise Accept decides.
	OnlyJSON bool `json:"onlyJson"`
}

// inForm is what L1 has of a page in one form.
type inForm struct {
	State    string            `json:"state"` // as freshness has it, or "none"
	FreshFor string            `json:"freshFor,omitempty"`
	ETag     string            `json:"etag,omitempty"`
	Bytes    int               `json:"bytes,omitempty"`
	Stamps   map[string]string `json:"stamps,omitempty"` // of the documents that it was built from
}

// explainURL tells how a URL is read and which way a request for it takes now, and
// names the documents of its answer. It counts as no hit.
func (r *Role) explainURL(url string) (any, []catalog.Key) {
	target := []byte(url)
	key, suffix, v := r.router.parse(target)
	if v == targetOK {
		return r.explainPage(key, suffix)
	}
	path, query, ok := splitTarget(target)
	if v == targetUnknown && ok {
		switch string(path) {
		case documentPath:
			return explainedURL{Route: "description", Status: fasthttp.StatusOK, Says: "This is the description of the JSON API. It is made when the gateway starts and depends on no document."}, nil
		case productsPath:
			return r.explainBatch(query)
		}
	}
	out := explainedURL{Status: fasthttp.StatusBadRequest, Says: v.reason()}
	if v == targetUnknown {
		out.Status, out.Says = fasthttp.StatusNotFound, v.reason()+" No page type and no part of the JSON API has this path, so no server is asked."
	} else if at, _, _, ok := r.router.match(path); ok {
		out.Route, out.Says = "page", "The path is that of the page type "+r.router.routes[at].path+". "+v.reason()
	}
	return out, nil
}

func (r *Role) explainPage(key pageKey, suffix bool) (explainedURL, []catalog.Key) {
	pt := &r.cat.Pages()[key.page]
	p := &explainedPage{Path: pt.Path, Target: r.router.target(key), Hot: r.hot.has(key), OnlyJSON: suffix}
	owner, remote := r.remoteOwner(key)
	if p.Owner = r.cfg.ID; remote {
		p.Owner = owner.ID
	}
	documents := []catalog.Key{r.rootOf(key)}
	for i, kind := range pt.Related {
		if key.rel[i] != 0 {
			documents = append(documents, catalog.Key{Kind: kind, ID: key.rel[i]})
		}
	}
	out := explainedURL{Route: "page", Page: p, Forms: map[string]inForm{}}
	best, has := expired, false
	for _, name := range []string{"html", "json"} {
		if suffix && name == "html" {
			continue
		}
		form := key
		form.json = name == "json"
		held, ok := r.l1.pages.Get(form)
		if !ok {
			out.Forms[name] = inForm{State: "none"}
			continue
		}
		now := time.Now().UnixNano()
		state := r.look(held, now)
		best, has = min(best, state), true
		f := inForm{State: state.String(), FreshFor: held.ttl(now).Round(time.Millisecond).String(), ETag: string(held.plain.etag), Bytes: len(held.plain.body), Stamps: map[string]string{}}
		documents = documents[:0] // those it was built from: all that was named is among them
		for _, d := range held.deps {
			f.Stamps[d.key.String()] = d.stamp.String()
			documents = append(documents, d.key)
		}
		out.Forms[name] = f
	}
	way := p.way(best, has, remote)
	if _, absent := r.judgeAbsent(key, time.Now(), false); absent && !has {
		out.Status, way = fasthttp.StatusNotFound, "Memory knows that what it shows does not exist: a request is answered 404 from there."
	}
	out.Says = fmt.Sprintf("This is the page %s/%d. ", pt.Path, key.id) + way
	return out, documents
}

// way says which way a request for a page takes.
func (p *explainedPage) way(best freshness, has, remote bool) string {
	switch {
	case has && best == fresh:
		return "Memory has it, and it is fresh: a request is answered from there."
	case has && best == stale:
		return "Memory has it, past its soft TTL: a request is answered from there, and it is loaded anew in the background."
	case has && best == unverified:
		return "Memory has it, but the invalidation bus has not vouched for it lately: it is checked before it is used."
	case has && best == outdated:
		return "Memory has it, but a document of it has changed: it is built anew before it is shown."
	case remote && p.Hot:
		return "Memory does not have it. It is hot, so it is loaded here, and its owner " + p.Owner + " is asked only if that takes long."
	case remote:
		return "Memory does not have it, so its owner " + p.Owner + " is asked. If that one does not answer, it is loaded here from Redis, or by the cache role."
	}
	return "Memory does not have it, and this gateway is its owner: it is loaded here from Redis, or by the cache role."
}

func (r *Role) explainBatch(query []byte) (explainedURL, []catalog.Key) {
	b, bad := r.router.parseBatch(query, r.live.batches.Load().ids)
	if bad != nil {
		return explainedURL{Route: "products", Status: bad.code, Says: bad.reason}, nil
	}
	out := explainedURL{Route: "products", Says: fmt.Sprintf("These are %d products of the JSON API. Each is found as its page in JSON is.", len(b.keys))}
	documents := make([]catalog.Key, len(b.keys))
	for i, key := range b.keys {
		out.Pages, documents[i] = append(out.Pages, r.router.target(key)), r.rootOf(key)
	}
	return out, documents
}

// String is the word for it in the admin API.
func (f freshness) String() string {
	return [...]string{fresh: "fresh", stale: "stale", unverified: "unverified", outdated: "outdated", expired: "expired"}[f]
}
