package roles_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/go-zookeeper/zk"
)

// TestLockedDown runs the roles on servers that let nobody in without TLS, a password and rights.
func TestLockedDown(t *testing.T) {
	s := newSecured(t)
	t.Run("pages, changes and hot products", s.whole)
	t.Run("every node is closed to strangers", s.nodesAreClosed)
	t.Run("what is refused", s.refused)
	t.Run("commands that are refused", s.commandsAreRefused)
	t.Run("rights that are lost", s.lost)
}

// whole is the product from the shop to the page, with the rights of the README and nothing else.
func (s *secured) whole(t *testing.T) {
	if p := s.start(t, "bootstrap", s.flags("bootstrap"), "--partitions=2", "--replication=1"); p.Wait(time.Minute) != 0 {
		t.Fatalf("bootstrap: %s%s", p.Stdout(), p.Stderr())
	}
	all := map[string]flags{}
	for _, role := range []string{"cache", "hotcount", "gateway"} {
		all[role] = s.flags(role)
		s.start(t, role, all[role])
	}
	for role, f := range all {
		untilReady(t, f[role+".admin-addr"])
	}
	g := &fleet{t: t, client: &http.Client{Timeout: 10 * time.Second}, shop: s.shop}
	defer g.client.CloseIdleConnections()
	gateway := all["gateway"]["gateway.addr"]
	path := page(7)
	if a := g.get(gateway, path); a.status != http.StatusOK {
		t.Fatalf("a page: %d %s", a.status, a.body)
	}
	g.edit(http.MethodPut, "/products/7", `{"name":"a locked lamp"}`)
	if p := s.start(t, "publish", s.flags("shop"), "--kind=product", "--id=7"); p.Wait(time.Minute) != 0 {
		t.Fatalf("publish: %s%s", p.Stdout(), p.Stderr())
	}
	s.setOldValue(t, 9)
	if a := g.get(gateway, page(9)); !strings.Contains(a.body, "an old lamp") {
		t.Errorf("a value of the replaced system: %d %s", a.status, a.body)
	}
	if p := s.start(t, "publish", s.flags("shop"), "--kind=product", "--id=9"); p.Wait(time.Minute) != 0 {
		t.Fatalf("publish: %s%s", p.Stdout(), p.Stderr())
	}
	g.until("an old value is replaced", func() (bool, string) {
		a := g.get(gateway, page(9))
		return a.status == http.StatusOK && !strings.Contains(a.body, "an old lamp"), a.body
	})
	g.until("the change shows", func() (bool, string) {
		a := g.get(gateway, path)
		return strings.Contains(a.body, "a locked lamp"), a.body
	})
	g.until("the product turns hot", func() (bool, string) {
		a := g.get(gateway, path)
		_, hot := hitHere(a)
		return hot, a.header.Get("Cache-Status")
	})
	g.edit(http.MethodDelete, "/products/8", "")
	if p := s.start(t, "publish", s.flags("shop"), "--kind=product", "--id=8", "--op=delete"); p.Wait(time.Minute) != 0 {
		t.Fatalf("publish: %s%s", p.Stdout(), p.Stderr())
	}
	g.until("a deletion shows", func() (bool, string) {
		a := g.get(gateway, page(8))
		return a.status == http.StatusNotFound, fmt.Sprint(a.status)
	})
	if p := s.start(t, "publish", s.flags("shop"), "--line=not a message"); p.Wait(time.Minute) == 0 {
		t.Error("publish took a line that is no message")
	}
	s.letters(t, g, all["cache"]["cache.admin-addr"])
	s.tellNothing(t, all)
	s.rightsAreLeast(t)
}

// letters: what nobody can read is looked at, sent again, and discarded when it is back.
func (s *secured) letters(t *testing.T, g *fleet, admin string) {
	t.Helper()
	producer, err := sarama.NewSyncProducer([]string{s.kafka.Addr}, s.allowed())
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	partition, offset, err := producer.SendMessage(&sarama.ProducerMessage{Topic: "cache-message", Value: sarama.StringEncoder(`{"serviceId":"nobody`)})
	if err != nil {
		t.Fatal(err)
	}
	list := func() (letters struct {
		Total   int
		Letters []struct {
			Partition int32
			Offset    int64
		}
	}, text string) {
		code, text, err := ask(t.Context(), admin, "/api/dead-letters")
		if err == nil {
			err = json.Unmarshal([]byte(text), &letters)
		}
		if code != http.StatusOK || err != nil {
			t.Fatalf("/api/dead-letters: %d %v %s", code, err, text)
		}
		return letters, text
	}
	for want, do := range []string{"replay", "discard"} {
		g.until("the letter is there", func() (bool, string) {
			l, text := list()
			return l.Total == want+1, fmt.Sprintf("after %d/%d: %s", partition, offset, text)
		})
		l, _ := list()
		newest := l.Letters[0]
		for _, one := range l.Letters {
			if one.Partition == newest.Partition && one.Offset > newest.Offset {
				newest = one
			}
		}
		path := fmt.Sprintf("http://%s/api/dead-letters/%s?partition=%d&offset=%d", admin, do, newest.Partition, newest.Offset)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+s.password("admin token"))
		resp, err := g.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
}

// setOldValue writes a product as the replaced system had it.
func (s *secured) setOldValue(t *testing.T, id int) {
	t.Helper()
	var err error
	for i := range s.redis.Addrs { // the one that has the slot takes it
		if _, err = s.redis.Do(t.Context(), i, "SET", fmt.Sprint("product_info_", id), fmt.Sprintf(`{"id":%d,"name":"an old lamp"}`, id)); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// rightsAreLeast: Redis has refused nothing (what it refuses of the rest shows in the pages), and everything that the README grants was used.
func (s *secured) rightsAreLeast(t *testing.T) {
	var used strings.Builder
	for i := range s.redis.Addrs {
		info, err := s.redis.Do(t.Context(), i, "INFO", "commandstats")
		if err != nil {
			t.Fatal(err)
		}
		used.WriteString(info)
		for line := range strings.Lines(info) {
			// What has a key is refused by a node that does not have it, too.
			for _, name := range []string{"info", "ping", "readonly", "client", "cluster"} {
				if strings.HasPrefix(line, "cmdstat_"+name) && !strings.Contains(line, "rejected_calls=0,") {
					t.Errorf("Redis has refused something: %s", line)
				}
			}
		}
	}
	for user, rules := range s.redisACL {
		for _, rule := range rules {
			if command, ok := strings.CutPrefix(rule, "+"); ok && !strings.Contains(used.String(), "cmdstat_"+command+":") {
				t.Errorf("README: %s is granted %s, which nobody uses", user, rule)
			}
		}
	}
}

// stranger is a client of ZooKeeper without the password.
func (s *secured) connectZooKeeper(t *testing.T, auth string) *zk.Conn {
	t.Helper()
	conn, events, err := zk.Connect([]string{s.zk.Addr}, 10*time.Second, zk.WithLogInfo(false), zk.WithDialer(s.zk.Dialer(t, s.ca)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		for range events {
		}
	})
	if auth != "" {
		if err := conn.AddAuth("digest", []byte(auth)); err != nil {
			t.Fatal(err)
		}
	}
	return conn
}

// nodesAreClosed walks all that the run before has left.
func (s *secured) nodesAreClosed(t *testing.T) {
	auth := "eshop:" + s.password("zookeeper")
	friend, stranger := s.connectZooKeeper(t, auth), s.connectZooKeeper(t, "eshop:wrong")
	want := zk.DigestACL(zk.PermAll, "eshop", s.password("zookeeper"))
	var seen []string
	var walk func(string)
	walk = func(path string) {
		seen = append(seen, path)
		children, _, err := friend.Children(path) // before a stranger tries to make one
		if err != nil {
			t.Errorf("list %s: %v", path, err)
		}
		acl, _, err := friend.GetACL(path)
		if err != nil || !slices.Equal(acl, want) {
			t.Errorf("%s: got the ACL %v, %v, want %v", path, acl, err, want)
		}
		for what, call := range map[string]func() error{
			"read":   func() error { _, _, err := stranger.Get(path); return err },
			"list":   func() error { _, _, err := stranger.Children(path); return err },
			"write":  func() error { _, err := stranger.Set(path, nil, -1); return err },
			"create": func() error { _, err := stranger.Create(path+"/x", nil, 0, zk.WorldACL(zk.PermAll)); return err },
			"open":   func() error { _, err := stranger.SetACL(path, zk.WorldACL(zk.PermAll), -1); return err },
		} {
			if err := call(); err != zk.ErrNoAuth {
				t.Errorf("a stranger may %s %s: got %v, want %v", what, path, err, zk.ErrNoAuth)
			}
		}
		for _, c := range children {
			walk(path + "/" + c)
		}
	}
	tops, _, err := friend.Children("/")
	if err != nil {
		t.Fatal(err)
	}
	for _, top := range tops {
		if top != "zookeeper" {
			walk("/" + top)
		}
	}
	for _, want := range []string{"/eshop", "/eshop/locks", "/eshop/hot", "/eshop/top", "/eshop/prewarm", "/eshop/degrade", "/eshop/rule", "/eshop/dead"} {
		if !slices.Contains(seen, want) {
			t.Errorf("%s was not seen among %v", want, seen)
		}
	}
	t.Logf("%d nodes: %v", len(seen), seen)
}

// tellNothing looks for the secrets in what the admin listeners of running roles show.
func (s *secured) tellNothing(t *testing.T, roles map[string]flags) {
	t.Helper()
	for role, f := range roles {
		for _, path := range []string{"/", "/api/status", "/metrics", "/-/ready", "/debug/pprof/cmdline", "/api/explain?kind=product&id=7", "/api/hot", "/api/degrade", "/api/dead-letters", "/api/fleet", "/api/fleet/explain?kind=product&id=7"} {
			code, text, err := ask(context.Background(), f[role+".admin-addr"], path)
			if err != nil || code >= 500 {
				t.Errorf("%s %s: %d %v", role, path, code, err)
			}
			s.search(t, role+path, text)
		}
		check := s.start(t, role, f, "--check-config")
		if code := check.Wait(time.Minute); code != 0 || !strings.Contains(check.Stdout(), "password-file") {
			t.Errorf("%s --check-config: code %d: %s%s", role, code, check.Stdout(), check.Stderr())
		}
	}
}

// search looks for every secret of the test in a text.
func (s *secured) search(t *testing.T, where, text string) {
	t.Helper()
	for purpose, secret := range s.passwords {
		if at := strings.Index(text, secret); at >= 0 {
			t.Errorf("%s tells the secret for %s: %.200s", where, purpose, text[max(0, at-100):])
		}
	}
}
