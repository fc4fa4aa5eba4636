package doctor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/origin"
)

// unknownID is an id that no shop has given to anything, and that eshop lets
// through to the shop's services when a client asks for it.
const unknownID = math.MaxInt64

func originChecks() []string { return []string{"latency", "version", "batch", "unknown"} }

func (d *doctor) origin(ctx context.Context, n *notes) {
	if d.Origin.BaseURL == "" {
		n.skip("--origin.url is not given", append([]string{"answers"}, originChecks()...)...)
		return
	}
	client, err := origin.New(d.Origin, d.Catalog, origin.Deps{Log: d.log})
	if err != nil {
		n.say(fail("nothing can be pulled", "correct --origin.url"), "answers", "%v", err)
		n.skip("the origin cannot be asked", originChecks()...)
		return
	}
	defer client.Close()
	for _, name := range d.Catalog.KindNames() {
		from := len(n.findings)
		d.originKind(ctx, n, client, d.Catalog.Kind(name))
		n.on(from, name)
	}
}

func (d *doctor) originKind(ctx context.Context, n *notes, client *origin.Client, kind *catalog.Kind) {
	id := d.Samples[kind.Name]
	if id == 0 {
		id = 1
	}
	curl := func(path string) string { return "curl -si '" + strings.TrimRight(d.Origin.BaseURL, "/") + path + "'" }
	timeout := d.Origin.Timeout
	if timeout == 0 {
		timeout = origin.DefaultTimeout
	}
	got, took, err := client.Probe(ctx, catalog.Key{Kind: kind.Name, ID: id})
	var status *origin.StatusError
	switch {
	case errors.Is(err, origin.ErrBadAnswer), errors.As(err, &status):
		n.say(fail("what neither memory nor Redis has is answered with 503, and changes wait", curl(kind.OriginPath(id))+"    # then mend the service, or the kind's url in the file"), "answers", "%v", err)
		n.skip("there is no document to look at", "latency", "version", "batch")
	case err != nil:
		n.say(fail("what neither memory nor Redis has is answered with 503, and changes wait", curl(kind.OriginPath(id))+"    # then start the service, or correct --origin.url"), "answers", "%v", err)
		n.skip("the origin cannot be reached", originChecks()...)
		return
	case got.State == catalog.Absent:
		n.say(warn("latency, version and batches are looked at with a document that exists", "eshop doctor --sample "+kind.Name+"=ID"), "answers", "it does not know %s %d", kind.Name, id)
		n.skip(fmt.Sprintf("%s %d does not exist", kind.Name, id), "latency", "version", "batch")
	default:
		n.ok("answers", "%s %d has %d bytes", kind.Name, id, len(got.Body))
		d.originLatency(ctx, n, client, catalog.Key{Kind: kind.Name, ID: id}, took, timeout, curl(kind.OriginPath(id)))
		originVersion(n, kind, got, curl(kind.OriginPath(id)))
		originBatch(ctx, n, client, kind, id, curl(kind.OriginBatchPath([]int64{id, id + 1})))
	}
	originUnknown(ctx, n, client, kind, curl(kind.OriginPath(unknownID)))
}

// originLatency takes the quicker of two answers: the first one had to connect.
func (d *doctor) originLatency(ctx context.Context, n *notes, client *origin.Client, key catalog.Key, first, timeout time.Duration, curl string) {
	took := first
	if _, again, err := client.Probe(ctx, key); err == nil {
		took = min(first, again)
	}
	if took > timeout/4 {
		n.say(warn(fmt.Sprintf("under load it will pass --origin.timeout (%s), and the breaker opens", short(timeout)), "time "+curl+"    # then make it quicker, or --origin.timeout longer"),
			"latency", "one document takes %s", short(took))
		return
	}
	n.ok("latency", "%s", short(took))
}

func originVersion(n *notes, kind *catalog.Kind, got origin.Result, curl string) {
	switch {
	case got.Field != "":
		n.ok("version", "%s is %d", got.Field, got.Version)
	case len(kind.VersionFields) == 0:
		n.ok("version", "none is configured: the later pull wins")
	default:
		n.say(warn("copies are ordered by pulls alone: when the shop reads from a database replica that lags, an older document replaces a newer one",
			curl+"    # has it a number or a time that grows with each edit? name it: version-fields of the kind in the file"),
			"version", "none of %s is in the document, as a number or a time", strings.Join(kind.VersionFields, ", "))
	}
}

func originBatch(ctx context.Context, n *notes, client *origin.Client, kind *catalog.Kind, id int64, curl string) {
	if kind.BatchURL == "" {
		n.ok("batch", "no batch form is configured")
		return
	}
	b := warn("documents are pulled one by one: a prewarm or a sale costs the shop as many requests as products", curl+"    # mend it, or take the kind's batch-url out of the file")
	found, err := client.ProbeBatch(ctx, kind.Name, []int64{id, id + 1})
	switch _, has := found[id]; {
	case err != nil:
		n.say(b, "batch", "%v", err)
	case !has:
		n.say(b, "batch", "a batch with %s %d, which exists, lacks it: does each element name its id as %q?", kind.Name, id, kind.IDField)
	default:
		n.ok("batch", "answers")
	}
}

// originUnknown asks for what does not exist, as any client may.
func originUnknown(ctx context.Context, n *notes, client *origin.Client, kind *catalog.Kind, curl string) {
	mend := curl + "    # must answer 404"
	got, _, err := client.Probe(ctx, catalog.Key{Kind: kind.Name, ID: unknownID})
	var status *origin.StatusError
	switch {
	case err == nil && got.State == catalog.Absent:
		n.ok("unknown", "404")
	case err == nil:
		n.say(fail("it is stored and shown as a page of a product that does not exist, once for every id somebody makes up", mend), "unknown", "%s %d, which cannot exist, is answered with 200 and %.60q", kind.Name, int64(unknownID), got.Body)
	case errors.As(err, &status) && (status.Status >= 500 || status.Status == 429):
		n.say(fail("such answers count as failures: whoever asks for made-up ids opens the breaker for all", mend), "unknown", "%s %d, which cannot exist, is answered with %d", kind.Name, int64(unknownID), status.Status)
	case errors.As(err, &status):
		n.say(warn("that it does not exist is not remembered, so every request for it goes to the shop and is answered with 503", mend), "unknown", "%s %d, which cannot exist, is answered with %d", kind.Name, int64(unknownID), status.Status)
	case errors.Is(err, origin.ErrBadAnswer):
		n.say(fail("that it does not exist is not remembered, so every request for it goes to the shop and is answered with 503", mend), "unknown", "%s %d, which cannot exist, is answered with 200 and no document", kind.Name, int64(unknownID))
	default:
		n.say(fail("whoever asks for made-up ids opens the breaker for all", mend), "unknown", "%v", err)
	}
}
