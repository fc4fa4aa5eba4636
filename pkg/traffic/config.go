package traffic

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Config of a load. Zero values mean the default in brackets.
type Config struct {
	URL      string        // of a product's page, with %d for the id
	Products int           // ids go from 1, the most popular, to this [1000], at most MaxProducts
	Exponent float64       // of the Zipf distribution [1.05], at most 10
	Rate     float64       // requests a second over all products [100], at most MaxRate; below 0: none
	HotRate  float64       // further requests a second for the hot product [200], at most MaxRate; below 0: none turns hot
	HotFor   time.Duration // how long a product is hot [20 s]
	CoolFor  time.Duration // how long none is hot then [25 s]
	Seed     uint64        // of the random choices
}

const (
	// MaxProducts bounds Config.Products; the distribution takes 8 bytes for each.
	MaxProducts = 1_000_000
	// MaxRate bounds both rates, in requests a second.
	MaxRate = 10_000
)

// Deps are the collaborators of a load.
type Deps struct {
	Log *slog.Logger // nil: discarded
	// Transport does the requests; nil: one of the load's own, with at most
	// maxConnections.
	Transport http.RoundTripper
}

const placeholder = "%d"

// complete fills in the defaults and lists every problem.
func (c *Config) complete() error {
	c.Products = cmp.Or(c.Products, 1000)
	c.Exponent = cmp.Or(c.Exponent, 1.05)
	c.Rate = cmp.Or(c.Rate, 100)
	c.HotRate = cmp.Or(c.HotRate, 200)
	c.HotFor = cmp.Or(c.HotFor, 20*time.Second)
	c.CoolFor = cmp.Or(c.CoolFor, 25*time.Second)
	var bad []error
	say := func(format string, args ...any) { bad = append(bad, fmt.Errorf(format, args...)) }
	if !strings.Contains(c.URL, placeholder) {
		say("the URL %q has no %s for the product's id", c.URL, placeholder)
	} else if u, err := url.Parse(c.page(1)); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		say("%q is not an http or https URL", c.URL)
	}
	if c.Products < 1 || c.Products > MaxProducts {
		say("the number of products is %d, it must be from 1 to %d", c.Products, MaxProducts)
	}
	if !(c.Exponent > 0 && c.Exponent <= 10) {
		say("the Zipf exponent is %v, it must be above 0 and at most 10", c.Exponent)
	}
	for name, rate := range map[string]float64{"rate": c.Rate, "hot rate": c.HotRate} {
		if math.IsNaN(rate) || rate > MaxRate {
			say("the %s is %v requests a second, it must be at most %d", name, rate, MaxRate)
		}
	}
	if c.HotFor < 0 || c.CoolFor < 0 {
		say("a product is hot for %v and none for %v, neither can be below 0", c.HotFor, c.CoolFor)
	}
	return errors.Join(bad...)
}

// page is the URL of a product's page.
func (c *Config) page(id int64) string {
	return strings.Replace(c.URL, placeholder, strconv.FormatInt(id, 10), 1)
}
