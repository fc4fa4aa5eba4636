package roles

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"eshop/pkg/console"
	"eshop/pkg/lab"
	"eshop/pkg/zookeeper"
)

// consoleOf asks one process's console.
type consoleOf struct {
	*testing.T
	r   *running
	url string
}

func (c consoleOf) fleet() (v console.View) {
	c.Helper()
	code, body := c.r.do("GET", c.url+"/api/fleet", "")
	if err := json.Unmarshal([]byte(body), &v); code != 200 || err != nil {
		c.Fatalf("GET /api/fleet: %d %v: %.300s", code, err, body)
	}
	return v
}

// until polls the fleet until it is as it should be.
func (c consoleOf) until(what string, check func(console.View) error) {
	c.Helper()
	lab.Until(c, 60*time.Second, func(context.Context) error {
		if err := check(c.fleet()); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	})
}

func states(v console.View) string {
	var list []string
	for _, m := range v.Members {
		list = append(list, m.String()+" "+m.State)
	}
	return strings.Join(list, ", ")
}

// as wants these states of the members, and the alert of each finding.
func as(want string, alerts ...string) func(console.View) error {
	return func(v console.View) error {
		if got := states(v); got != want {
			why := ""
			for _, m := range v.Members {
				why += strings.Join(m.Why, "; ")
			}
			return fmt.Errorf("got %s (%s), want %s", got, why, want)
		}
		for _, a := range alerts {
			if !slices.ContainsFunc(v.Findings, func(f console.Finding) bool { return f.Alert == a }) {
				return fmt.Errorf("got the findings %+v, want %s among them", v.Findings, a)
			}
		}
		return nil
	}
}

// TestConsoleOfAFleet: four processes, of which each shows all, on internal listeners that demand the
// cluster token or a certificate. What one has not itself it passes on; who does not answer is shown.
func TestConsoleOfAFleet(t *testing.T) {
	t.Run("token", func(t *testing.T) { consoleOfAFleet(t, "--cluster.token-file="+secretFile(t, "cluster secret")) })
	t.Run("certificates", func(t *testing.T) {
		ca := lab.NewAuthority(t)
		consoleOfAFleet(t, "--cluster.tls-cert="+ca.CertFile, "--cluster.tls-key="+ca.KeyFile, "--cluster.tls-ca="+ca.CAFile)
	})
}

func consoleOfAFleet(t *testing.T, secrets ...string) {
	byToken := len(secrets) == 1
	secrets = append(secrets, "--admin.token-file="+secretFile(t, consoleToken))
	all := start(t, anyPort(append(secrets, "--gateway.id=a", "--cache.id=a", "--hotcount.id=a")...)...)
	defer all.stop()
	zk := strings.TrimPrefix(all.addresses["zookeeper"], "zookeeper://")
	join := func(addresses int, role string, flags ...string) *running {
		t.Helper()
		args := append([]string{role, "--log.level=error", "--" + role + ".id=b", "--" + role + ".admin-addr=127.0.0.1:0",
			"--kafka.brokers=" + strings.TrimPrefix(all.addresses["kafka"], "kafka://"), "--zookeeper.servers=" + zk}, append(secrets, flags...)...)
		return startWith(t, addresses, args...)
	}
	redis := "--redis.addrs=" + strings.TrimPrefix(all.addresses["redis"], "redis://")
	gateway := join(3, "gateway", redis, "--gateway.addr=127.0.0.1:0", "--gateway.peer-addr=127.0.0.1:0")
	defer gateway.stop()
	cache := join(2, "cache", redis, "--cache.addr=127.0.0.1:0", "--origin.url="+strings.TrimSuffix(all.addresses["sample shop"], "/"))
	defer cache.stop()
	hotcount := join(1, "hotcount")
	defer hotcount.stop()

	const six = "gateway a ready, gateway b ready, cache a ready, cache b ready, hotcount a ready, hotcount b ready"
	admins := map[string]string{"all": all.addresses["admin and console"], "gateway": gateway.addresses["admin"], "cache": cache.addresses["admin"], "hotcount": hotcount.addresses["admin"]}
	for name, admin := range admins {
		consoleOf{t, all, strings.TrimSuffix(admin, "/")}.until("seen by "+name, as(six))
	}
	c := consoleOf{t, all, strings.TrimSuffix(hotcount.addresses["admin"], "/")}
	if v := c.fleet(); !slices.Equal(v.Kinds, []string{"product", "shop"}) || !v.CanChange {
		t.Errorf("hotcount knows the kinds %v, want those of the others", v.Kinds)
	}
	bearer := []string{"Authorization", "Bearer " + consoleToken}
	try := func(method, path string, code int, want ...string) {
		t.Helper()
		got, body := all.do(method, c.url+path, "", bearer...)
		for _, w := range want {
			if !strings.Contains(body, w) {
				t.Errorf("%s %s: %s lacks %s", method, path, body, w)
			}
		}
		if got != code {
			t.Errorf("%s %s: %d %s, want %d", method, path, got, body, code)
		}
	}
	for _, r := range []*running{all, gateway} {
		if code, _ := all.do("GET", strings.Replace(r.addresses["product pages"], "productId=1", "productId=5", 1), ""); code != 200 {
			t.Errorf("a page: %d", code)
		}
	}
	// What hotcount has not, it passes on: to all, or to one that has it.
	try("GET", "/api/fleet/explain?kind=product&id=5", 200, `"id": "a"`, `"id": "b"`, `"redisMaster"`, `"owner"`)
	try("GET", "/api/fleet/explain?kind=nothing&id=5", 400, "is not configured")
	try("POST", "/api/fleet/purge?kind=product&id=5", 200, `"purged": {`, `"gateway": true`)
	try("POST", "/api/fleet/purge?kind=product&id=0", 400, "id")
	try("GET", "/api/dead-letters", 200, `"total": 0`)
	try("POST", "/api/dead-letters/replay?partition=0&offset=0", 404, "no such dead letter")
	try("GET", "/api/prewarm", 200, `"state"`)
	try("POST", "/api/degrade?kind=shop&mode=stale-only&for=1m", 200, `"by": "127.0.0.1"`)
	try("GET", "/api/degrade", 200)
	try("DELETE", "/api/degrade?kind=shop", 200, "shop.stale-only")
	// A pin by the gateway's console, which has no list of its own.
	if code, body := all.do("POST", strings.TrimSuffix(gateway.addresses["admin"], "/")+"/api/pin?id=9", "", bearer...); code != 200 {
		t.Errorf("pin by the gateway's console: %d %s", code, body)
	}
	c.until("the pin is known", func(v console.View) error {
		if len(v.Pins) != 1 || v.Pins[0].ID != "9" || len(v.Hot) != 1 {
			return fmt.Errorf("got %+v and %+v", v.Pins, v.Hot)
		}
		return nil
	})
	for name, r := range map[string]string{"peer": gateway.addresses["gateway peers"], "cache": cache.addresses["cache"]} {
		base := r[:strings.Index(r[8:], "/")+8]
		if !byToken {
			stranger := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
			if resp, err := stranger.Get(base + "/-/fleet/api/process"); err == nil {
				resp.Body.Close()
				t.Errorf("the %s listener answers without a certificate: %d", name, resp.StatusCode)
			}
			continue
		}
		if code, _ := all.do("GET", base+"/-/fleet/api/process", ""); code != http.StatusUnauthorized {
			t.Errorf("the %s listener without the cluster token: %d, want 401", name, code)
		}
		if code, _ := all.do("GET", base+"/-/fleet/api/process", "", "Authorization", "Bearer cluster secret"); code != http.StatusOK {
			t.Errorf("the %s listener with the cluster token: %d, want 200", name, code)
		}
		if code, _ := all.do("POST", base+"/-/fleet/api/purge?kind=product&id=5", "", "Authorization", "Bearer cluster secret"); code != http.StatusForbidden {
			t.Errorf("a change on the %s listener without a signature: %d, want 403", name, code)
		}
	}

	gateway.stop()
	const five = "gateway a ready, cache a ready, cache b ready, hotcount a ready, hotcount b ready"
	c.until("a gateway has left", as(five))
	c.ghosts(zk, admins["all"])
}

// ghosts are listed where nobody listens, and where somebody else does.
func (c consoleOf) ghosts(zk, elsewhere string) {
	s, err := zookeeper.New(zookeeper.Config{Servers: []string{zk}, Root: "/eshop"}, zookeeper.Deps{})
	if err != nil {
		c.Fatal(err)
	}
	ctx, cancel := context.WithCancel(c.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			c.Error(err)
		}
	}()
	_, host, _ := strings.Cut(elsewhere, "://")
	s.Join(ctx, "hotcount", "ghost", []byte(`{"id":"ghost","addr":"127.0.0.1:1"}`))
	s.Join(ctx, "hotcount", "stranger", fmt.Appendf(nil, `{"id":"stranger","addr":%q}`, host[:strings.Index(host, "/")]))
	c.until("two do not answer", as("gateway a ready, cache a ready, cache b ready, hotcount a ready, hotcount b ready, hotcount ghost silent, hotcount stranger silent", "OnlyOnItsMachine"))
	c.until("the reasons are told", func(v console.View) error {
		for _, m := range v.Members {
			if m.ID == "ghost" && !strings.Contains(strings.Join(m.Why, ""), "--hotcount.admin-addr") || m.ID == "stranger" && !strings.Contains(strings.Join(m.Why, ""), "another process answers") {
				return errors.New(strings.Join(m.Why, ""))
			}
		}
		return nil
	})
}
