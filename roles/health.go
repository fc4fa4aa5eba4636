package roles

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"eshop/pkg/config"
)

// healthTimeout is less than what container engines allow a probe.
const healthTimeout = 2 * time.Second

// healthCommand is the probe of images that have no shell and no curl. It is hidden: on a machine
// one asks /-/healthy with whatever is there.
func healthCommand() command {
	var url string
	return command{
		name:   "health",
		hidden: true,
		short:  "Ask an admin listener whether its process is healthy",
		long:   "Exits with 0 when /-/healthy of the admin listener answers with 200, else with 1.",
		define: func(set *config.Set, _ *settings) {
			set.URL(&url, "admin", "base URL of the admin listener")
			set.OfInvocation("admin")
		},
		prepare: func(*settings, config.Loaded, []string, *config.Problems) run {
			return func(ctx context.Context, _ process) error { return probe(ctx, url) }
		},
	}
}

// probe asks the default admin listeners in turn when no URL is given: a container runs one role.
func probe(ctx context.Context, url string) error {
	urls := []string{url}
	if url == "" {
		urls = []string{"http://127.0.0.1:8090", "http://127.0.0.1:8091"}
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var last error
	for _, base := range urls {
		if last = ask(ctx, client, base+"/-/healthy"); last == nil {
			return nil
		}
	}
	return last
}

func ask(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, err := io.ReadAll(io.LimitReader(resp.Body, 512))
		if err != nil {
			return fmt.Errorf("%s answers %s: %w", url, resp.Status, err)
		}
		return fmt.Errorf("%s answers %s: %s", url, resp.Status, strings.TrimSpace(string(body)))
	}
	return nil
}
