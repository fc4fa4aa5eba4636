package docapi

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/credential"
	"eshop/pkg/tracing"
)

// HandlerConfig configures NewHandler.
type HandlerConfig struct {
	// Tokens of which every caller must present one as "Authorization: Bearer <token>"; nil: none.
	Tokens *credential.Tokens
	// Timeout of one request at the server (default 5 s).
	Timeout time.Duration
	// Trace goes on with the traces that requests carry; nil: none.
	Trace *tracing.Tracer
}

type handler struct {
	cfg HandlerConfig
	cat *catalog.Catalog
	src Source
}

// NewHandler serves the contract over src, and with it the two paths of the
// replaced cache service: /getProductInfo?productId=P and /getShopInfo?shopId=S,
// that is, the origin's own path of every kind that names its parameter.
func NewHandler(cfg HandlerConfig, cat *catalog.Catalog, src Source) http.Handler {
	if cfg.Timeout <= 0 {
		cfg.Timeout = 5 * time.Second
	}
	h := &handler{cfg: cfg, cat: cat, src: src}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/doc/{kind}/{id}", h.one)
	mux.HandleFunc("GET /v1/docs", h.many)
	mux.HandleFunc("GET "+pingPath, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for path, kind := range map[string]string{"/getProductInfo": "product", "/getShopInfo": "shop"} {
		if k := cat.Kind(kind); k != nil && k.Param != "" {
			mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { h.seed(w, r, k) })
		}
	}
	return h.guard(mux)
}

func (h *handler) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w, r, end := h.enter(w, r)
		defer end()
		if !h.cfg.Tokens.Admits([]byte(r.Header.Get("Authorization"))) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			fail(w, r, http.StatusUnauthorized, "the cluster token is missing or wrong: give the roles the same --cluster.token-file")
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), h.cfg.Timeout)
		defer cancel()
		r = r.WithContext(ctx)
		next.ServeHTTP(w, r)
		tracing.Current(ctx).Rename(cmp.Or(r.Pattern, r.Method)) // the pattern is not known before
	})
}

// enter gives a request its id, which the answer tells, and its span if it is traced;
// end is called when it was answered.
func (h *handler) enter(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *http.Request, func()) {
	ctx := tracing.WithRequestID(r.Context(), tracing.RequestIDOr(r.Header.Get(tracing.RequestIDHeader)))
	ctx, span := h.cfg.Trace.Enter(ctx, tracing.Entry{Kind: tracing.Server, Name: r.Method, Get: r.Header.Get})
	r = r.WithContext(ctx)
	w.Header().Set(tracing.RequestIDHeader, tracing.RequestID(ctx))
	if !span.On() {
		return w, r, func() {}
	}
	answer := &observed{ResponseWriter: w, code: http.StatusOK}
	return answer, r, func() {
		span.Set(tracing.HTTPRequest(r.Method, r.URL.Path, "")...)
		span.Set(tracing.HTTPStatus(answer.code), tracing.Request(tracing.RequestID(ctx)))
		span.End()
	}
}

// observed notes an answer's status.
type observed struct {
	http.ResponseWriter
	code int
}

// WriteHeader implements http.ResponseWriter.
func (o *observed) WriteHeader(code int) {
	o.code = code
	o.ResponseWriter.WriteHeader(code)
}

// Unwrap is for http.ResponseController.
func (o *observed) Unwrap() http.ResponseWriter { return o.ResponseWriter }

func (h *handler) one(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	id, err := catalog.ParseID(r.PathValue("id"))
	if err != nil {
		fail(w, r, http.StatusBadRequest, err.Error())
		return
	}
	req := Request{Key: catalog.Key{Kind: r.PathValue("kind"), ID: id}, Revalidate: q.Get("revalidate") == "1"}
	if h.cat.Kind(req.Key.Kind) == nil {
		fail(w, r, http.StatusBadRequest, "the kind "+strconv.Quote(req.Key.Kind)+" is not configured")
		return
	}
	if min := q.Get("min"); min != "" {
		if req.Min, err = catalog.ParseStamp(min); err != nil {
			fail(w, r, http.StatusBadRequest, err.Error())
			return
		}
	}
	h.serve(w, r, req)
}

// seed serves a path of the replaced cache service.
func (h *handler) seed(w http.ResponseWriter, r *http.Request, k *catalog.Kind) {
	id, err := catalog.ParseID(r.URL.Query().Get(k.Param))
	if err != nil {
		fail(w, r, http.StatusBadRequest, k.Param+": "+err.Error())
		return
	}
	h.serve(w, r, Request{Key: catalog.Key{Kind: k.Name, ID: id}})
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request, req Request) {
	reply, err := h.src.Load(r.Context(), req)
	if err != nil {
		var u *Unavailable
		if !errors.As(err, &u) {
			u = &Unavailable{Reason: err.Error(), RetryAfter: time.Second}
		}
		w.Header().Set("Retry-After", strconv.Itoa(retrySeconds(u.RetryAfter)))
		fail(w, r, http.StatusServiceUnavailable, u.Reason)
		return
	}
	if span := tracing.Current(r.Context()); span.On() {
		span.Set(tracing.Document(req.Key), tracing.Layer(string(reply.Layer)))
		span.Set(tracing.Copy(reply.Document)...)
	}
	metaOf(reply).setHeaders(w.Header())
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(reply.Document.Body)))
	w.Header().Set("Cache-Control", "no-store")
	if reply.Document.State != catalog.Live {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Write(reply.Document.Body) // an error means that the caller has gone
}

func (h *handler) many(w http.ResponseWriter, r *http.Request) {
	keys := r.URL.Query()["key"]
	if len(keys) == 0 || len(keys) > MaxBatch {
		fail(w, r, http.StatusBadRequest, "a batch names from 1 to "+strconv.Itoa(MaxBatch)+" documents by key=kind/id, not "+strconv.Itoa(len(keys)))
		return
	}
	reqs := make([]Request, len(keys))
	for i, text := range keys {
		req, err := parseKey(text)
		if err == nil && h.cat.Kind(req.Key.Kind) == nil {
			err = errors.New("the kind " + strconv.Quote(req.Key.Kind) + " is not configured")
		}
		if err != nil {
			fail(w, r, http.StatusBadRequest, err.Error())
			return
		}
		reqs[i] = req
	}
	results := h.src.LoadMany(r.Context(), reqs)
	w.Header().Set("Content-Type", "application/x-eshop-frames")
	w.Header().Set("Cache-Control", "no-store")
	out := bufio.NewWriterSize(w, 32<<10)
	for i, res := range results {
		if writeFrame(out, res, reqs[i].Key) != nil {
			return // the caller has gone
		}
	}
	out.Flush()
}

// fail answers with an error, in which the request's id stands.
func fail(w http.ResponseWriter, r *http.Request, code int, reason string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(map[string]string{"error": reason, "request": tracing.RequestID(r.Context())})
}
