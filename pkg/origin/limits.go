package origin

import (
	"net/http"
	"time"

	"github.com/failsafe-go/failsafe-go/bulkhead"
)

// limits are what of Config can be changed, with what is made for them. A request keeps to those with which it began
// to wait for its turn.
type limits struct {
	timeout     time.Duration
	concurrency int
	bulkhead    bulkhead.Bulkhead[any]
	http        *http.Client
}

func newLimits(timeout time.Duration, concurrency int) *limits {
	return &limits{timeout: timeout, concurrency: concurrency, bulkhead: bulkhead.New[any](uint(concurrency)),
		http: &http.Client{Transport: newTransport(timeout, concurrency), CheckRedirect: sameHost}}
}

// SetLimits changes Config.Timeout and Config.Concurrency, which must be above zero. Requests under way and those that
// wait for their turn keep to the limits they came under, for one timeout at most; until then both kinds together may be
// as many as the two limits. The breaker forgets nothing.
func (c *Client) SetLimits(timeout time.Duration, concurrency int) {
	if old := c.limits.Load(); old.timeout != timeout || old.concurrency != concurrency {
		c.limits.Store(newLimits(timeout, concurrency))
		old.http.CloseIdleConnections() // those in use are closed by their own idle timeout
	}
}
