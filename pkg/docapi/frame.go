package docapi

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"eshop/pkg/catalog"
)

const (
	headerState       = "Eshop-State"
	headerStamp       = "Eshop-Stamp"
	headerField       = "Eshop-Field"
	headerPulled      = "Eshop-Pulled"
	headerLayer       = "Eshop-Layer"
	headerStale       = "Eshop-Stale"
	headerProvisional = "Eshop-Provisional"
)

// maxDocument bounds one body on the wire, in bytes.
const maxDocument = 8 << 20

// maxMeta bounds the line before a body, in bytes.
const maxMeta = 4 << 10

// meta is the line in front of a body in a batch answer.
type meta struct {
	Kind        string `json:"kind"`
	ID          int64  `json:"id"`
	State       string `json:"state,omitempty"`
	Stamp       string `json:"stamp,omitempty"`
	Field       string `json:"field,omitempty"`
	Pulled      int64  `json:"pulled,omitempty"`
	Layer       Layer  `json:"layer,omitempty"`
	Stale       bool   `json:"stale,omitempty"`
	Provisional bool   `json:"provisional,omitempty"`
	Error       string `json:"error,omitempty"`
	RetryAfter  int    `json:"retryAfter,omitempty"` // seconds
	Bytes       int    `json:"bytes"`
}

func metaOf(r Reply) meta {
	d := r.Document
	m := meta{Kind: d.Key.Kind, ID: d.Key.ID, State: d.State.String(), Stamp: d.Stamp.String(), Field: d.Field,
		Layer: r.Layer, Stale: r.Stale, Provisional: d.Provisional, Bytes: len(d.Body)}
	if !d.Pulled.IsZero() {
		m.Pulled = d.Pulled.UnixMilli()
	}
	return m
}

func (m meta) reply(body []byte) (Reply, error) {
	state, err := catalog.ParseState(m.State)
	if err != nil {
		return Reply{}, err
	}
	stamp, err := catalog.ParseStamp(m.Stamp)
	if err != nil {
		return Reply{}, err
	}
	r := Reply{Layer: m.Layer, Stale: m.Stale, Document: catalog.Document{Key: catalog.Key{Kind: m.Kind, ID: m.ID},
		State: state, Body: body, Stamp: stamp, Field: m.Field, Provisional: m.Provisional}}
	if m.Pulled > 0 {
		r.Document.Pulled = time.UnixMilli(m.Pulled)
	}
	return r, nil
}

func (m meta) setHeaders(h http.Header) {
	h.Set(headerState, m.State)
	h.Set(headerStamp, m.Stamp)
	h.Set(headerLayer, string(m.Layer))
	if m.Field != "" {
		h.Set(headerField, m.Field)
	}
	if m.Pulled > 0 {
		h.Set(headerPulled, strconv.FormatInt(m.Pulled, 10))
	}
	if m.Stale {
		h.Set(headerStale, "1")
	}
	if m.Provisional {
		h.Set(headerProvisional, "1")
	}
}

func metaFromHeaders(key catalog.Key, h http.Header) meta {
	m := meta{Kind: key.Kind, ID: key.ID, State: h.Get(headerState), Stamp: h.Get(headerStamp), Field: h.Get(headerField),
		Layer: Layer(h.Get(headerLayer)), Stale: h.Get(headerStale) != "", Provisional: h.Get(headerProvisional) != ""}
	m.Pulled, _ = strconv.ParseInt(h.Get(headerPulled), 10, 64) // 0 (unknown) when missing
	return m
}

func writeFrame(w io.Writer, res Result, key catalog.Key) error {
	m := metaOf(res.Reply)
	m.Kind, m.ID = key.Kind, key.ID
	body := res.Reply.Document.Body
	if res.Err != nil {
		m = meta{Kind: key.Kind, ID: key.ID, Error: res.Err.Error()}
		if len(m.Error) > 512 {
			m.Error = m.Error[:512]
		}
		var u *Unavailable
		if errors.As(res.Err, &u) {
			m.Error, m.RetryAfter = u.Reason, retrySeconds(u.RetryAfter)
		}
		body = nil
	}
	line, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode the frame of %v: %w", key, err)
	}
	if _, err := w.Write(append(line, '\n')); err != nil {
		return err
	}
	_, err = w.Write(body)
	return err
}

// readFrame reads one frame for key. The outer error means that the stream is
// unusable from here on.
func readFrame(r *bufio.Reader, key catalog.Key) (Result, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return Result{}, fmt.Errorf("read the frame of %v: %w", key, err)
	}
	var m meta
	if err := json.Unmarshal(line, &m); err != nil {
		return Result{}, fmt.Errorf("read the frame of %v: %w", key, err)
	}
	if m.Kind != key.Kind || m.ID != key.ID {
		return Result{}, fmt.Errorf("read the frame of %v: it is that of %s/%d", key, m.Kind, m.ID)
	}
	if m.Bytes < 0 || m.Bytes > maxDocument {
		return Result{}, fmt.Errorf("read the frame of %v: a body of %d bytes is out of bounds", key, m.Bytes)
	}
	body := make([]byte, m.Bytes)
	if _, err := io.ReadFull(r, body); err != nil {
		return Result{}, fmt.Errorf("read the body of %v: %w", key, err)
	}
	if m.Error != "" {
		return Result{Err: &Unavailable{Reason: m.Error, RetryAfter: time.Duration(m.RetryAfter) * time.Second}}, nil
	}
	reply, err := m.reply(body)
	if err != nil {
		return Result{}, fmt.Errorf("read the frame of %v: %w", key, err)
	}
	return Result{Reply: reply}, nil
}

// retrySeconds rounds up: a Retry-After of 0 would be an invitation to hammer.
func retrySeconds(d time.Duration) int {
	return max(1, int((d+time.Second-1)/time.Second))
}

// formatKey writes "kind/id" or "kind/id@stamp".
func formatKey(r Request) string {
	text := r.Key.String()
	if !r.Min.IsZero() {
		text += "@" + r.Min.String()
	}
	return text
}

func parseKey(text string) (Request, error) {
	name, stamp, hasMin := strings.Cut(text, "@")
	kind, idText, ok := strings.Cut(name, "/")
	if !ok {
		return Request{}, fmt.Errorf("the key %q is not of the form kind/id", text)
	}
	id, err := catalog.ParseID(idText)
	if err != nil {
		return Request{}, err
	}
	req := Request{Key: catalog.Key{Kind: kind, ID: id}}
	if hasMin {
		if req.Min, err = catalog.ParseStamp(stamp); err != nil {
			return Request{}, err
		}
	}
	return req, nil
}
