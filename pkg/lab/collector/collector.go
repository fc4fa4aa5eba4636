// Package collector receives traces in a test: OTLP over HTTP, as a real collector
// does, with what tests need to make it fail.
package collector

import (
	"cmp"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collectpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is a span as it was received.
type Span struct {
	Trace, ID, Parent string // hexadecimal; Parent is "" for the first of a trace
	Name, Kind        string // Kind is one of internal, server, client, producer, consumer
	Service, Instance string // of the process that made it
	Attributes        map[string]string
	Links             []string // ids of spans
	Error             string   // "" for one that did not fail
	Start, End        time.Time
}

// Collector is a running receiver. It is safe for concurrent use.
type Collector struct {
	t      testing.TB
	server *httptest.Server

	mu     sync.Mutex
	spans  []Span
	heads  []http.Header
	status int
	hold   chan struct{}
}

// maxRequest bounds what is read of one request, in bytes.
const maxRequest = 64 << 20

// Start runs a receiver until the test ends.
func Start(t testing.TB) *Collector {
	c := &Collector{t: t}
	c.server = httptest.NewServer(c)
	t.Cleanup(func() {
		c.Release()
		c.server.Close()
	})
	return c
}

// URL is the endpoint to configure.
func (c *Collector) URL() string { return c.server.URL }

// Fail has requests answered with a status from now on; 0 ends that.
func (c *Collector) Fail(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = status
}

// Hold leaves requests unanswered until Release, or until their sender gives up.
func (c *Collector) Hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hold == nil {
		c.hold = make(chan struct{})
	}
}

// Release ends Hold.
func (c *Collector) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hold != nil {
		close(c.hold)
		c.hold = nil
	}
}

// Requests returns the headers of all requests so far.
func (c *Collector) Requests() []http.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.heads)
}

// Spans returns what was received so far, by the time of their start.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	spans := slices.Clone(c.spans)
	slices.SortStableFunc(spans, func(a, b Span) int { return a.Start.Compare(b.Start) })
	return spans
}

// Of returns the spans of one trace.
func (c *Collector) Of(trace string) []Span {
	return slices.DeleteFunc(c.Spans(), func(s Span) bool { return s.Trace != trace })
}

// ServeHTTP implements http.Handler.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	spans, err := read(r)
	if err != nil {
		c.t.Errorf("the collector got a request it cannot read: %v", err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	c.heads = append(c.heads, r.Header)
	status, hold := c.status, c.hold
	c.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
			return
		}
	}
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	c.mu.Lock()
	c.spans = append(c.spans, spans...)
	c.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-protobuf")
	answer, err := proto.Marshal(&collectpb.ExportTraceServiceResponse{})
	if err != nil {
		c.t.Errorf("encode the collector's answer: %v", err)
	}
	w.Write(answer)
}

func read(r *http.Request) ([]Span, error) {
	if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		return nil, fmt.Errorf("%s %s, Content-Type %q: want POST /v1/traces of application/x-protobuf", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, err
		}
		body = z
	}
	data, err := io.ReadAll(io.LimitReader(body, maxRequest))
	if err != nil {
		return nil, err
	}
	var request collectpb.ExportTraceServiceRequest
	if err := proto.Unmarshal(data, &request); err != nil {
		return nil, err
	}
	var spans []Span
	for _, rs := range request.ResourceSpans {
		about := attributes(rs.Resource.GetAttributes())
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				spans = append(spans, spanOf(s, about))
			}
		}
	}
	return spans, nil
}

func spanOf(s *tracepb.Span, about map[string]string) Span {
	out := Span{Trace: hex.EncodeToString(s.TraceId), ID: hex.EncodeToString(s.SpanId), Parent: hex.EncodeToString(s.ParentSpanId),
		Name: s.Name, Kind: strings.ToLower(strings.TrimPrefix(s.Kind.String(), "SPAN_KIND_")), Attributes: attributes(s.Attributes),
		Service: about["service.name"], Instance: about["service.instance.id"],
		Start: time.Unix(0, int64(s.StartTimeUnixNano)), End: time.Unix(0, int64(s.EndTimeUnixNano))}
	if s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR {
		out.Error = cmp.Or(s.Status.Message, "failed")
	}
	for _, l := range s.Links {
		out.Links = append(out.Links, hex.EncodeToString(l.SpanId))
	}
	return out
}

func attributes(list []*commonpb.KeyValue) map[string]string {
	out := make(map[string]string, len(list))
	for _, kv := range list {
		out[kv.Key] = valueOf(kv.Value)
	}
	return out
}

func valueOf(v *commonpb.AnyValue) string {
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return v.StringValue
	case *commonpb.AnyValue_IntValue:
		return fmt.Sprint(v.IntValue)
	case *commonpb.AnyValue_BoolValue:
		return fmt.Sprint(v.BoolValue)
	case *commonpb.AnyValue_DoubleValue:
		return fmt.Sprint(v.DoubleValue)
	case *commonpb.AnyValue_ArrayValue:
		var all []string
		for _, e := range v.ArrayValue.Values {
			all = append(all, valueOf(e))
		}
		return strings.Join(all, " ")
	}
	return ""
}

// Tree writes a trace with one line for each span, those below it indented: its
// process, kind and name, and the attributes that are asked for, as far as it has
// them. Spans of one parent stand in the order of their start. A span whose parent
// is missing stands at the left, with its parent's id.
func Tree(spans []Span, wanted ...string) string {
	below := map[string][]Span{}
	known := map[string]bool{}
	for _, s := range spans {
		known[s.ID] = true
	}
	for _, s := range spans {
		parent := s.Parent
		if !known[parent] {
			parent = ""
		}
		below[parent] = append(below[parent], s)
	}
	var b strings.Builder
	var write func(parent string, depth int)
	write = func(parent string, depth int) {
		for _, s := range below[parent] {
			b.WriteString(strings.Repeat("  ", depth) + s.Instance + " " + s.Kind + " " + s.Name)
			if depth == 0 && s.Parent != "" {
				b.WriteString(" under " + s.Parent)
			}
			for _, name := range wanted {
				if v, ok := s.Attributes[name]; ok {
					b.WriteString(" " + name + "=" + v)
				}
			}
			b.WriteByte('\n')
			write(s.ID, depth+1)
		}
	}
	write("", 0)
	return b.String()
}

// Names lists the attributes that the spans have, in order.
func Names(spans []Span) []string {
	all := map[string]bool{}
	for _, s := range spans {
		for name := range s.Attributes {
			all[name] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}
