package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DurationRange is a span of durations, both ends included; it is written "600s-1200s", or "10m" for
// one without width.
type DurationRange struct{ Min, Max time.Duration }

// String returns the range in the form ParseDurationRange reads.
func (r DurationRange) String() string {
	if r.Min == r.Max {
		return FormatDuration(r.Min)
	}
	return FormatDuration(r.Min) + "-" + FormatDuration(r.Max)
}

// ParseDurationRange reads "600s-1200s" or a single duration.
func ParseDurationRange(s string) (DurationRange, error) {
	low, high, two := strings.Cut(strings.ReplaceAll(s, "–", "-"), "-")
	if !two {
		high = low
	}
	lo, err := ParseDuration(low)
	if err != nil {
		return DurationRange{}, errors.New("must be a range of durations like 600s-1200s, or one duration")
	}
	hi, err := ParseDuration(high)
	if err != nil {
		return DurationRange{}, errors.New("must be a range of durations like 600s-1200s, or one duration")
	}
	if lo > hi {
		return DurationRange{}, fmt.Errorf("must be a range that begins with its lower end: %s-%s", FormatDuration(hi), FormatDuration(lo))
	}
	return DurationRange{Min: lo, Max: hi}, nil
}

const day = 24 * time.Hour

// ParseDuration reads a duration that is not negative: time.ParseDuration's form, or days as "90d".
func ParseDuration(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	wrong := errors.New("must be a duration like 30s, 5m, 1h or 90d")
	if days, found := strings.CutSuffix(s, "d"); found {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || math.IsNaN(n) || n < 0 || n > float64(math.MaxInt64/day) {
			return 0, wrong
		}
		return time.Duration(n * float64(day)), nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, wrong
	}
	return d, nil
}

// FormatDuration writes d in the shortest form ParseDuration reads: "90d", "1h30m", "250ms".
func FormatDuration(d time.Duration) string {
	if d >= day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

type unit struct {
	name string
	size int64
}

// units lists the suffixes of sizes, larger ones first, binary before decimal.
func units() []unit {
	return []unit{
		{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
		{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1},
	}
}

// ParseBytes reads a size: "256MiB", "1.5GiB", "64 kB", or a plain number of bytes.
func ParseBytes(s string) (int64, error) {
	wrong := errors.New("must be a size like 256MiB, 1.5GiB or a number of bytes")
	s = strings.TrimSpace(s)
	size := int64(1)
	for _, u := range units() {
		if len(s) > len(u.name) && strings.EqualFold(s[len(s)-len(u.name):], u.name) {
			s, size = strings.TrimSpace(s[:len(s)-len(u.name)]), u.size
			break
		}
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if n < 0 || n > math.MaxInt64/size {
			return 0, wrong
		}
		return n * size, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || f < 0 || f*float64(size) >= math.MaxInt64 {
		return 0, wrong
	}
	return int64(f * float64(size)), nil
}

// FormatBytes writes n with the largest binary unit that divides it.
func FormatBytes(n int64) string {
	for _, u := range units()[:4] {
		if n >= u.size && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// ParseAddrs reads a comma-separated list of host:port to connect to; an empty text is an empty list.
func ParseAddrs(s string) ([]string, error) {
	var addrs []string
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		addr := strings.TrimSpace(part)
		scheme, bare, url := strings.Cut(addr, "://")
		host, port, err := splitHostPort(addr)
		switch {
		case url:
			return nil, fmt.Errorf("must be a comma-separated list of host:port; write %q without %q", bare, scheme+"://")
		case err != nil:
			return nil, fmt.Errorf("must be a comma-separated list of host:port; %q: %w", addr, err)
		case host == "" || port == 0:
			return nil, fmt.Errorf("must be a comma-separated list of host:port; %q lacks one of the two", addr)
		case slices.Contains(addrs, addr):
			return nil, fmt.Errorf("must name each address once; %q comes twice", addr)
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

// ParseListen reads the host:port of a listener: without a host it means every address, port 0 takes a free one.
func ParseListen(s string) (string, error) {
	s = strings.TrimSpace(s)
	if _, _, err := splitHostPort(s); err != nil {
		return "", fmt.Errorf("must be host:port to listen on, like 127.0.0.1:8080 or :8080; %w", err)
	}
	return s, nil
}

func splitHostPort(s string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		if text := (*net.AddrError)(nil); errors.As(err, &text) {
			return "", 0, errors.New(text.Err)
		}
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("the port %q is no number from 0 to 65535", text)
	}
	if strings.ContainsAny(host, "/ \t@") {
		return "", 0, fmt.Errorf("%q is no host", host)
	}
	return host, int(n), nil
}

// ParseURL reads the base of an HTTP service; the text comes back without a slash at its end, and
// empty for an empty one.
func ParseURL(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return "", nil
	}
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("must be an http or https URL without query, like http://shop.internal:8080")
	}
	return strings.TrimRight(s, "/"), nil
}

// redact hides the password of a URL, which may stand anywhere in a text.
func redact(s string) string {
	if !strings.Contains(s, "@") {
		return s
	}
	if u, err := url.Parse(s); err == nil && u.User != nil {
		return u.Redacted()
	}
	if scheme, rest, found := strings.Cut(s, "://"); found { // no URL, but may have been meant as one
		if at := strings.LastIndexByte(rest, '@'); at >= 0 {
			return scheme + "://xxxxx@" + rest[at+1:]
		}
	}
	return s
}
