package gateway

import (
	"bytes"
	_ "embed"
	"fmt"

	"github.com/valyala/fasthttp"
)

// openAPI describes the public listener in OpenAPI 3.1. A test holds it against what is served.
//
//go:embed openapi.json
var openAPI []byte

// documentIDs is the one thing in the document that is configured.
const documentIDs = `"maxItems": %d`

// newDocument makes what is served of the document: a page of no product.
func (r *Role) newDocument(ids int) (*page, error) {
	from, to := fmt.Appendf(nil, documentIDs, defaultBatchIDs), fmt.Appendf(nil, documentIDs, ids)
	if bytes.Count(openAPI, from) != 1 {
		return nil, fmt.Errorf("openapi.json does not say once %s", from)
	}
	return r.newPage(pageKey{json: true}, bytes.Replace(openAPI, from, to, 1), nil, nil)
}

// serveDocument answers with the document.
func (r *Role) serveDocument(ctx *fasthttp.RequestCtx) int {
	h, head := &ctx.Response.Header, &ctx.Request.Header
	document := r.live.batches.Load().document
	f := &document.plain
	if zipped := &document.gzip; zipped.body != nil && acceptsGzip(head.Peek(fasthttp.HeaderAcceptEncoding)) {
		f = zipped
	}
	h.SetCanonical(r.headers.vary, r.headers.varyEncoding)
	h.SetCanonical(r.headers.cacheControl, r.headers.revalidate)
	h.SetCanonical(r.headers.etag, f.etag)
	if matchesETag(head.Peek(fasthttp.HeaderIfNoneMatch), f.etag) {
		ctx.Response.SetStatusCode(fasthttp.StatusNotModified)
		return fasthttp.StatusNotModified
	}
	if f == &document.gzip {
		h.SetContentEncodingBytes(r.headers.gzip)
	}
	h.SetCanonical(r.headers.nosniff, r.headers.no)
	h.SetContentTypeBytes(r.headers.json)
	ctx.Response.SetBodyRaw(f.body)
	return fasthttp.StatusOK
}
