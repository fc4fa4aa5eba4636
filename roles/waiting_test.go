package roles

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"eshop/pkg/config"
	"eshop/pkg/embedded/kafka"
	"eshop/pkg/lab"
	"eshop/roles/all"
)

// freeAddr is an address nobody listens on at this time.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestWaitForServers: a role whose servers are all away lives, says what it waits for, and ends in an
// orderly way.
func TestWaitForServers(t *testing.T) {
	const dead = "127.0.0.1:1" // nothing listens on the first port
	servers := []string{"--redis.addrs=" + dead, "--kafka.brokers=" + dead, "--zookeeper.servers=" + dead, "--shutdown-timeout=10s", "--log.level=error"}
	gatewayFlags := []string{"--gateway.addr=127.0.0.1:0", "--gateway.peer-addr=127.0.0.1:0"}
	cacheFlags := []string{"--cache.addr=127.0.0.1:0", "--origin.url=http://" + dead}
	gatewayWaits := []string{"gateway redis: ", "gateway zookeeper: ", "gateway kafka: ", "gateway cache members: ", "gateway warm: "}
	cacheWaits := []string{"cache redis: ", "cache zookeeper: ", "cache kafka: ", "cache bus: "}
	hotcountWaits := []string{"hotcount zookeeper: ", "hotcount kafka: "}
	for _, tt := range []struct {
		command, adminFlag string
		args, waits        []string
	}{
		{"gateway", "gateway.admin-addr", gatewayFlags, gatewayWaits},
		{"cache", "cache.admin-addr", cacheFlags, cacheWaits},
		{"all", "admin.addr", append(gatewayFlags, cacheFlags...), slices.Concat(gatewayWaits, cacheWaits, hotcountWaits, []string{"topics: connect to kafka"})},
		{"hotcount", "hotcount.admin-addr", nil, hotcountWaits},
	} {
		t.Run(tt.command, func(t *testing.T) {
			t.Parallel()
			admin := freeAddr(t)
			args := slices.Concat([]string{tt.command, fmt.Sprintf("--%s=%s", tt.adminFlag, admin)}, servers, tt.args)
			if tt.command == "hotcount" { // which needs no Redis
				args = slices.DeleteFunc(args, func(a string) bool { return strings.HasPrefix(a, "--redis.") })
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var stderr bytes.Buffer
			ended := make(chan int, 1)
			go func() { ended <- execute(ctx, args, process{stdout: io.Discard, stderr: &stderr}) }()
			lab.Until(t, 20*time.Second, func(ctx context.Context) error {
				code, text, err := look(ctx, "http://"+admin+"/-/ready")
				if err != nil {
					return err
				}
				if code != http.StatusServiceUnavailable {
					t.Fatalf("/-/ready: got %d, want 503: %s", code, text)
				}
				for _, want := range tt.waits {
					// Each has been looked at, and none was found well.
					if !strings.Contains(text, want) || strings.Contains(text, want+"not looked at") {
						return fmt.Errorf("/-/ready lacks a reason for %q:\n%s", want, text)
					}
				}
				return nil
			})
			if code, text, err := look(t.Context(), "http://"+admin+"/-/healthy"); err != nil || code != http.StatusOK {
				t.Errorf("/-/healthy: got %d %s %v, want 200", code, text, err)
			}
			select {
			case code := <-ended:
				t.Fatalf("ended by itself with code %d:\n%s", code, stderr.String())
			default:
			}
			cancel()
			if code := <-ended; code != exitClean {
				t.Errorf("stop: got code %d, want 0:\n%s", code, stderr.String())
			}
		})
	}
}

func look(ctx context.Context, url string) (code int, text string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// TestAllFindsSettingsWrong: what only the roles themselves can find wrong is bad usage, from both at
// once, and not a failure while running.
func TestAllFindsSettingsWrong(t *testing.T) {
	var problems config.Problems
	if err := all.Run(t.Context(), all.Config{}, all.Deps{Stdout: io.Discard}); !errors.As(err, &problems) {
		t.Fatalf("got %v, want problems with the settings", err)
	}
	for _, want := range []string{"the gateway role needs an id", "the cache role needs an id"} {
		if !strings.Contains(problems.Error(), want) {
			t.Errorf("lacks %s: %v", want, problems)
		}
	}
}

// TestAllWaitsForKafka: the topics are made once Kafka answers, and then everything becomes ready.
func TestAllWaitsForKafka(t *testing.T) {
	broker, admin := freeAddr(t), freeAddr(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stderr bytes.Buffer
	ended := make(chan int, 1)
	args := anyPort("--kafka.brokers="+broker, "--admin.addr="+admin, "--log.level=error")
	go func() { ended <- execute(ctx, args, process{stdout: io.Discard, stderr: &stderr}) }()
	state := func(want func(code int, text string) bool) {
		t.Helper()
		lab.Until(t, 30*time.Second, func(ctx context.Context) error {
			code, text, err := look(ctx, "http://"+admin+"/-/ready")
			if err == nil && !want(code, text) {
				err = fmt.Errorf("/-/ready: %d %s", code, text)
			}
			return err
		})
	}
	state(func(_ int, text string) bool { return strings.Contains(text, "topics: connect to kafka") })
	server, err := kafka.Start(t.Context(), kafka.Config{Addr: broker}, kafka.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	state(func(code int, _ string) bool { return code == http.StatusOK })
	cancel()
	if code := <-ended; code != exitClean {
		t.Errorf("stop: got code %d, want 0:\n%s", code, stderr.String())
	}
}
