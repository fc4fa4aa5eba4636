package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"eshop/pkg/tracing"
)

// errNotFound is a 404: an answer, turned into catalog.Absent by the callers.
var errNotFound = errors.New("the origin answered 404 Not Found")

const maxRedirects = 3

func newTransport(timeout time.Duration, concurrency int) *http.Transport {
	return &http.Transport{
		// No proxy from the environment: the origin is the shop's own service.
		DialContext:            (&net.Dialer{Timeout: min(timeout, time.Second), KeepAlive: 15 * time.Second}).DialContext,
		MaxIdleConns:           concurrency,
		MaxIdleConnsPerHost:    concurrency,
		MaxConnsPerHost:        concurrency,
		IdleConnTimeout:        30 * time.Second,
		TLSHandshakeTimeout:    min(timeout, 2*time.Second),
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
	}
}

// sameHost lets redirects through that stay on the origin: whoever can make the
// origin answer with a Location must not make this process fetch other hosts.
func sameHost(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects || req.URL.Scheme != via[0].URL.Scheme || req.URL.Host != via[0].URL.Host {
		return http.ErrUseLastResponse
	}
	return nil
}

// get does one exchange within the deadline. Errors: errNotFound, *StatusError,
// ErrBadAnswer, else the transport's.
func (c *Client) get(ctx context.Context, l *limits, path string, limit int64) (body []byte, err error) {
	ctx, span := tracing.Start(ctx, tracing.Client, http.MethodGet)
	defer func() {
		if !errors.Is(err, errNotFound) { // an answer like others
			span.Fail(err)
		}
		span.End()
	}()
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.root+path, nil)
	if err != nil {
		return nil, fmt.Errorf("make the request for %s: %w", path, err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "eshop")
	tracing.Inject(ctx, req.Header.Set)
	if span.On() {
		span.Set(tracing.HTTPCall(req.Method, req.URL.Redacted(), req.URL.Host)...)
	}
	resp, err := l.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the origin for %s: %w", path, err)
	}
	defer resp.Body.Close()
	if span.On() {
		span.Set(tracing.HTTPStatus(resp.StatusCode))
	}
	switch {
	case resp.StatusCode == http.StatusOK:
		return read(resp, path, limit)
	case resp.StatusCode == http.StatusNotFound:
		err = errNotFound
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		err = fmt.Errorf("%w: %s is a redirect (%d) that leaves the origin or goes on for ever", ErrBadAnswer, path, resp.StatusCode)
	default:
		err = fmt.Errorf("ask the origin for %s: %w", path, &StatusError{resp.StatusCode})
	}
	// A short rest is read so that the connection can be used again.
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	return nil, err
}

func read(resp *http.Response, path string, limit int64) ([]byte, error) {
	if resp.ContentLength > limit {
		return nil, fmt.Errorf("%w: %s has %d bytes, at most %d are read", ErrBadAnswer, path, resp.ContentLength, limit)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read the origin's answer to %s: %w", path, err)
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("%w: %s has more than the %d bytes that are read", ErrBadAnswer, path, limit)
	}
	return body, nil
}
