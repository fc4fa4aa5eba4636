package gateway

import (
	"cmp"
	"strings"

	"eshop/pkg/accesslog"
)

// Modes of the access log.
const (
	AccessOff     = "off"
	AccessCounts  = "counts"  // hits of each product
	AccessFull    = "full"    // a record for each request
	AccessSampled = "sampled" // a record for one of Sample requests, which stands for all of them
)

// AccessLog says what is told of requests for products.
type AccessLog struct {
	// Mode is one of the Access constants (AccessCounts).
	Mode string
	// Sample is the N of AccessSampled: each request is recorded with a
	// probability of 1/N and weight N.
	Sample int
	// Redact names headers whose values are left out of records, in addition to
	// cookies and credentials.
	Redact []string
	// Client says whether records tell the client's address. Without it the
	// headers in which proxies pass it on are redacted too.
	Client bool
}

func (a *AccessLog) complete(say func(format string, args ...any)) {
	a.Mode = cmp.Or(a.Mode, AccessCounts)
	switch a.Mode {
	case AccessOff, AccessCounts, AccessFull:
		if a.Sample != 0 {
			say("--gateway.access-log: a sample of 1/%d belongs to the mode sampled, not to %s", a.Sample, a.Mode)
		}
	case AccessSampled:
		if a.Sample < 2 || a.Sample > accesslog.MaxWeight {
			say("--gateway.access-log: a sample of 1/%d must be between 1/2 and 1/%d", a.Sample, accesslog.MaxWeight)
		}
	default:
		say("--gateway.access-log %q must be counts, full, off, or sampled:1/N", a.Mode)
	}
	for _, name := range a.Redact {
		if name == "" || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' || c == ':' }) {
			say("--gateway.access-log-redact: %q is no name of a header", name)
		}
	}
}
