package origin

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Defaults of Config.
const (
	DefaultTimeout     = 2 * time.Second
	DefaultConcurrency = 64
	DefaultQueueLimit  = 4096
	DefaultBatchWindow = 5 * time.Millisecond
	DefaultBatchMax    = 100
	DefaultMaxBody     = 4 << 20
)

// Config of a Client. Zero values mean the defaults.
type Config struct {
	// BaseURL is scheme, host and, if need be, a path in front of the kinds'
	// own: "http://10.0.0.7:8099". Required.
	BaseURL string
	// Timeout is the deadline of one request, and the longest a request waits
	// for its turn (default 2 s each).
	Timeout time.Duration
	// Concurrency is the highest number of requests at once (64).
	Concurrency int
	// QueueLimit is the highest number of pulls inside the client, beyond
	// Concurrency (4096).
	QueueLimit int
	// BatchWindow is how long a pull waits for others to share a request with,
	// when another request of its kind is under way (5 ms). Negative: no batches.
	BatchWindow time.Duration
	// BatchMax is the highest number of documents in one request (100).
	BatchMax int
	// MaxBody is the highest size of an answer in bytes, after decompression (4 MiB).
	MaxBody int64
	Breaker Breaker
}

// Breaker configures when requests stop being sent. Only what says that the
// origin is in trouble counts as a failure: no answer in time, a broken
// connection, 5xx and 429. 404, other refusals and a bad document do not.
type Breaker struct {
	// FailurePercent of the requests within Period opens the breaker (50)…
	FailurePercent int
	// …once there were so many in it (20).
	MinRequests int
	Period      time.Duration // 10 s
	// Delay until the first probes, with a tenth of jitter (2 s).
	Delay time.Duration
	// Probes is how many requests are let through then; all of them must
	// succeed to close the breaker, one failure opens it again (2).
	Probes int
}

// Deps of a Client; nil values mean no log and no metrics.
type Deps struct {
	Log      *slog.Logger
	Registry prometheus.Registerer
	// Held is asked before each request, when its turn has come. Its error, if it
	// has one, is that of the pull, with ErrHeld, and nothing is sent. Nil: no kind
	// is held back.
	Held func(kind string) error
}

func (c *Config) complete() (*url.URL, error) {
	setDuration(&c.Timeout, DefaultTimeout)
	setDuration(&c.BatchWindow, DefaultBatchWindow)
	setDuration(&c.Breaker.Period, 10*time.Second)
	setDuration(&c.Breaker.Delay, 2*time.Second)
	setInt(&c.Concurrency, DefaultConcurrency)
	setInt(&c.QueueLimit, DefaultQueueLimit)
	setInt(&c.BatchMax, DefaultBatchMax)
	setInt(&c.Breaker.FailurePercent, 50)
	setInt(&c.Breaker.MinRequests, 20)
	setInt(&c.Breaker.Probes, 2)
	if c.MaxBody == 0 {
		c.MaxBody = DefaultMaxBody
	}
	var bad []error
	say := func(format string, args ...any) { bad = append(bad, fmt.Errorf("origin: "+format, args...)) }
	for _, n := range []struct {
		name string
		v    int64
	}{
		{"timeout", int64(c.Timeout)}, {"concurrency", int64(c.Concurrency)}, {"queue limit", int64(c.QueueLimit)},
		{"batch maximum", int64(c.BatchMax)}, {"largest body", c.MaxBody}, {"breaker's period", int64(c.Breaker.Period)},
		{"breaker's delay", int64(c.Breaker.Delay)}, {"breaker's probes", int64(c.Breaker.Probes)},
		{"breaker's least number of requests", int64(c.Breaker.MinRequests)},
	} {
		if n.v < 0 {
			say("the %s must be positive", n.name)
		}
	}
	if p := c.Breaker.FailurePercent; p < 1 || p > 100 {
		say("the breaker's failure percentage %d is not from 1 to 100", p)
	}
	base, err := url.Parse(c.BaseURL)
	switch {
	case err != nil:
		say("the base URL is not a URL: %v", err)
	case base.Scheme != "http" && base.Scheme != "https" || base.Host == "":
		say("the base URL %q must begin with http:// or https:// and a host", base.Redacted())
	case base.RawQuery != "" || base.Fragment != "":
		say("the base URL %q must have neither query nor fragment", base.Redacted())
	default:
		base.Path = strings.TrimRight(base.Path, "/")
	}
	return base, errors.Join(bad...)
}

func setDuration(v *time.Duration, otherwise time.Duration) {
	if *v == 0 {
		*v = otherwise
	}
}

func setInt(v *int, otherwise int) {
	if *v == 0 {
		*v = otherwise
	}
}
