package rediscluster

import (
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"eshop/pkg/catalog"
)

// What follows is all of a write but its way to Redis. A simulation runs the
// same text with the same arguments against a store of its own.

// Arguments returns the script's arguments (ARGV) for a write whose value
// expires after ttl: texts, and the body as bytes.
func Arguments(r WriteRequest, ttl time.Duration) []any {
	doc := r.Document
	body := doc.Body
	if r.Op.gone() {
		body = nil
	}
	pulled := int64(0)
	if !doc.Pulled.IsZero() {
		pulled = max(doc.Pulled.UnixMilli(), 0)
	}
	known := "0"
	if r.Op.gone() && (doc.Stamp.Version > 0 || doc.Field != "") {
		known = "1"
	}
	return []any{r.Op.String(), strconv.FormatInt(doc.Stamp.Version, 10), strconv.FormatInt(doc.Stamp.Token, 10),
		doc.Field, body, strconv.FormatInt(pulled, 10), strconv.FormatInt(ttl.Milliseconds(), 10), known,
		strconv.FormatInt(doc.Stamp.Epoch, 10)}
}

func decodeOutcome(cmd *redis.Cmd) (o Outcome, body []byte, err error) {
	fields, err := cmd.StringSlice()
	if err != nil {
		return o, nil, err
	}
	return ParseOutcome(fields)
}

// ParseOutcome reads the script's answer. body is set if a plain string stood
// there whose version is needed first.
func ParseOutcome(fields []string) (o Outcome, body []byte, err error) {
	if len(fields) < 6 {
		return o, nil, fmt.Errorf("the script answered %d fields instead of 6", len(fields))
	}
	for i, to := range []*int64{&o.Stored.Epoch, &o.Stored.Version, &o.Stored.Token} {
		n, ok := parseNumber(fields[i+1])
		if !ok {
			return Outcome{}, nil, fmt.Errorf("the script answered the number %.40q", fields[i+1])
		}
		*to = n
	}
	o.Accepted, o.Changed = fields[0] == "1", fields[5] == "1"
	switch fields[4] {
	case "live", "string":
		o.Previous = catalog.Live
	case "tombstone":
		o.Previous = catalog.Tombstone
	}
	if len(fields) > 6 {
		body = []byte(fields[6])
	}
	return o, body, nil
}

// AfterLostAnswer returns the outcome of a call of which an earlier attempt got
// no answer. If Redis holds the write's own stamp, that attempt did it (own).
// What it replaced is not known then, so the outcome says what makes the caller
// tell everybody.
func (o Outcome) AfterLostAnswer(r WriteRequest) (_ Outcome, own bool) {
	st := r.Document.Stamp
	if o.Accepted || o.Stored.Token != st.Token || !r.Op.gone() && o.Stored.Version != st.Version {
		return o, false
	}
	o.Accepted, o.Changed, o.Previous = true, true, catalog.Live
	return o, true
}
