package roles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"eshop/pkg/config"
)

// healthTimeout is less than what container engines allow a probe.
const healthTimeout = 2 * time.Second

// healthCommand is the probe of images that have no shell and no curl. It is hidden: on a machine
// one asks /-/healthy with whatever is there. A container runs one command, but the probe is not told
// which: it asks every admin listener there may be, as the environment and the file set them.
func healthCommand() command {
	return command{
		name:   "health",
		hidden: true,
		short:  "Ask an admin listener whether its process is healthy",
		long:   "Exits with 0 when /-/healthy of an admin listener of this machine answers with 200, else with 1.",
		define: func(set *config.Set, s *settings) {
			set.Area("Listeners that are asked")
			s.process.defineAdmin(set)
			s.gateway.defineAdmin(set)
			s.cache.defineAdmin(set)
			s.hotcount.defineAdmin(set)
			s.process.define(set, "warn")
		},
		prepare: func(s *settings, _ config.Loaded, _ []string, _ *config.Problems) run {
			return func(ctx context.Context, _ process) error {
				return probe(ctx, []string{s.process.adminAddr, s.gateway.adminAddr, s.cache.adminAddr, s.hotcount.adminAddr})
			}
		},
	}
}

// probe returns nil when one of the listeners says that its process is healthy.
func probe(ctx context.Context, listeners []string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var urls []string
	for _, addr := range listeners {
		if url := "http://" + reachable(addr) + "/-/healthy"; !slices.Contains(urls, url) {
			urls = append(urls, url)
		}
	}
	var problems []error
	for _, url := range urls {
		err := ask(ctx, client, url)
		if err == nil {
			return nil
		}
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// reachable is how a listener is reached from its own machine.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
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
