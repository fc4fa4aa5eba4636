package traffic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// maxUnderWay bounds the requests under way, both streams together.
	maxUnderWay = 64
	// maxConnections to the server, kept alive; requests under way share them.
	maxConnections = 16
	// requestTimeout of one request with its answer.
	requestTimeout = 5 * time.Second
	// maxBody of an answer that is read so that its connection can be used again.
	maxBody = 1 << 20
)

// newClient has its own connections unless it is given a transport.
func newClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = &http.Transport{
			MaxConnsPerHost: maxConnections, MaxIdleConnsPerHost: maxConnections, IdleConnTimeout: 90 * time.Second,
			DisableCompression: true,
		}
	}
	return &http.Client{
		Transport: transport, Timeout: requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// request asks for one page and keeps the books.
func (l *Load) request(ctx context.Context, id int64) {
	sent := time.Now()
	err := l.get(ctx, id)
	if err != nil && ctx.Err() != nil { // cut off by the end of the load
		return
	}
	l.sent.Add(1)
	if err == nil {
		if l.pause.worked(sent) {
			l.log.Info("demonstration traffic: the server answers again")
		}
		return
	}
	l.failures.Add(1)
	if _, first := l.pause.failed(sent); first {
		l.log.Warn("demonstration traffic: the server fails, requests are held back", "err", err)
	}
}

// get returns nil if the server did its work; that a product does not exist is an
// answer too.
func (l *Load) get(ctx context.Context, id int64) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.cfg.page(id), nil)
	if err != nil {
		return fmt.Errorf("ask for product %d: %w", id, err)
	}
	req.Header.Set("User-Agent", "eshop-demo-traffic")
	resp, err := l.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask for product %d: %w", id, err)
	}
	defer resp.Body.Close()
	if _, err := io.CopyN(io.Discard, resp.Body, maxBody); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the page of product %d: %w", id, err)
	}
	if resp.StatusCode >= 400 && resp.StatusCode != http.StatusNotFound {
		return fmt.Errorf("ask for product %d: the answer is %s", id, resp.Status)
	}
	return nil
}
