package roles_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"eshop/pkg/lab"
)

// fault is one thing that is wrong between a role and the servers.
type fault struct {
	name, role string
	spoil      func(f flags)      // the flags, before the start
	begin      func(t *testing.T) // the servers, before the start
	mend       func(t *testing.T) // the servers or a file, while the role runs; nil: the flags must be mended
	says       map[string]string  // part of /-/ready, by the condition's name
}

// refused has a role start on servers that do not accept it. Within seconds its readiness says in one sentence what to look
// at; it writes few lines; and once the servers are mended it becomes ready without a restart.
func (s *secured) refused(t *testing.T) {
	other := lab.NewAuthority(t)
	gateway, group := kafkaRight{user: "eshop-gateway", operation: "Read", topics: []string{"cache-invalidate"}}, kafkaRight{user: "eshop-cache", operation: "Read", groups: []string{"eshop-cache"}}
	foreign := s.foreignRoot(t)
	hotcount, redis, kafka := s.file("not the password"), s.file("not the password"), s.file("not the password")
	write := func(t *testing.T, file, password string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []fault{
		{name: "certificates of an unknown authority", role: "gateway",
			spoil: func(f flags) {
				f["redis.tls-ca-file"], f["kafka.tls-ca-file"], f["zookeeper.tls-ca-file"] = other.CAFile, other.CAFile, other.CAFile
			},
			says: map[string]string{"gateway redis": "--redis.tls-ca-file", "gateway kafka": "--kafka.tls-ca-file", "gateway zookeeper": "--zookeeper.tls-ca-file"}},
		{name: "no TLS", role: "gateway",
			spoil: func(f flags) {
				for _, area := range []string{"redis", "kafka", "zookeeper"} {
					delete(f, area+".tls")
					delete(f, area+".tls-ca-file")
				}
			},
			says: map[string]string{"gateway redis": "give --redis.tls", "gateway kafka": "give --kafka.tls", "gateway zookeeper": "give --zookeeper.tls"}},
		{name: "no login", role: "cache",
			spoil: func(f flags) {
				for _, name := range []string{"redis.username", "redis.password-file", "kafka.sasl", "kafka.username", "kafka.password-file", "zookeeper.auth-file"} {
					delete(f, name)
				}
			},
			says: map[string]string{"cache redis": "give --redis.password-file", "cache kafka": "give --kafka.sasl", "cache zookeeper": "--zookeeper.auth-file"}},
		{name: "passwords changed on the servers", role: "gateway",
			spoil: func(f flags) { f["zookeeper.root"] = "/foreign" },
			begin: func(t *testing.T) {
				s.redis.SetUser(t, "eshop-gateway", "resetpass", ">another")
				s.setKafkaPassword("eshop-gateway", "another")
			},
			mend: func(t *testing.T) {
				s.redis.SetUser(t, "eshop-gateway", s.rules("eshop-gateway")...)
				s.setKafkaPassword("eshop-gateway", s.password("kafka eshop-gateway"))
				foreign(t)
			},
			says: map[string]string{"gateway redis": "--redis.password-file", "gateway kafka": "--kafka.password-file", "gateway zookeeper": "--zookeeper.auth-file"}},
		{name: "rights to read are missing", role: "gateway",
			begin: func(t *testing.T) {
				s.redis.SetUser(t, "eshop-gateway", "-hmget")
				s.forbid(gateway)
			},
			mend: func(t *testing.T) {
				s.redis.SetUser(t, "eshop-gateway", s.rules("eshop-gateway")...)
				s.allow(gateway)
			},
			says: map[string]string{"gateway redis": "the user eshop-gateway (--redis.username)", "gateway kafka": "the user eshop-gateway (--kafka.username) use the topic"}},
		{name: "rights to write and to join are missing", role: "cache",
			begin: func(t *testing.T) {
				s.redis.SetUser(t, "eshop-cache", "resetkeys", "%R~product_info_*", "~shop_info_*")
				s.forbid(group)
			},
			mend: func(t *testing.T) {
				s.redis.SetUser(t, "eshop-cache", s.rules("eshop-cache")...)
				s.allow(group)
			},
			says: map[string]string{"cache redis": "the user eshop-cache (--redis.username)", "cache kafka": "the user eshop-cache (--kafka.username) join the group"}},
		{name: "wrong passwords in the files", role: "cache",
			spoil: func(f flags) { f["redis.password-file"], f["kafka.password-file"] = redis, kafka },
			mend: func(t *testing.T) {
				write(t, redis, s.password("redis eshop-cache"))
				write(t, kafka, s.password("kafka eshop-cache"))
			},
			says: map[string]string{"cache redis": "--redis.password-file", "cache kafka": "--kafka.password-file"}},
		{name: "a wrong password in the file", role: "hotcount",
			spoil: func(f flags) { f["kafka.password-file"] = hotcount },
			mend:  func(t *testing.T) { write(t, hotcount, s.password("kafka eshop-hotcount")) },
			says:  map[string]string{"hotcount kafka": "the user eshop-hotcount (--kafka.username) with this password: look at --kafka.password-file"}},
	} {
		t.Run(f.name, func(t *testing.T) { s.oneFault(t, f) })
	}
}

// commandsAreRefused: a command that runs for a moment says the same on its way out.
func (s *secured) commandsAreRefused(t *testing.T) {
	wrong := s.file("not the password")
	for _, c := range []struct {
		name, command, user string
		spoil               func(f flags)
		more                []string
		says                []string
	}{
		{name: "bootstrap with a wrong password", command: "bootstrap", user: "bootstrap", says: []string{"look at --kafka.password-file"},
			spoil: func(f flags) { f["kafka.password-file"] = wrong }},
		{name: "bootstrap of a topic without a right", command: "bootstrap", user: "bootstrap", says: []string{"eshop-bootstrap (--kafka.username)", "lacks an ACL"},
			spoil: func(f flags) { f["kafka.topic.dead"] = "another" }},
		{name: "bootstrap without TLS", command: "bootstrap", user: "bootstrap", more: []string{"--timeout=2s"}, says: []string{"give --kafka.tls", "give --zookeeper.tls"},
			spoil: func(f flags) {
				for _, name := range []string{"kafka.tls", "kafka.tls-ca-file", "zookeeper.tls", "zookeeper.tls-ca-file"} {
					delete(f, name)
				}
			}},
		{name: "publish with a wrong password", command: "publish", user: "shop", more: []string{"--kind=product", "--id=1", "--timeout=1s"}, says: []string{"look at --kafka.password-file"},
			spoil: func(f flags) { f["kafka.password-file"] = wrong }},
		{name: "publish without a right", command: "publish", user: "shop", more: []string{"--kind=product", "--id=1", "--timeout=1s"}, says: []string{"eshop-shop (--kafka.username)", "lacks an ACL"},
			spoil: func(f flags) { f["kafka.topic.change"] = "access-log" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := s.flags(c.user)
			c.spoil(f)
			p := s.start(t, c.command, f, c.more...)
			if code := p.Wait(time.Minute); code != 1 {
				t.Errorf("got code %d, want 1", code)
			}
			for _, want := range c.says {
				if !strings.Contains(p.Stderr(), want) {
					t.Errorf("lacks %q: %s", want, p.Stderr())
				}
			}
			if n := strings.Count(p.Stderr(), "\n"); n > 10 {
				t.Errorf("%d lines, want at most 10: %s", n, p.Stderr())
			}
		})
	}
}

// most lines that a role may write from its start until it has told what is wrong, for at least quietFor.
const (
	mostLines = 30
	quietFor  = 2 * time.Second
)

func (s *secured) oneFault(t *testing.T, f fault) {
	settings := s.flags(f.role)
	if f.spoil != nil {
		f.spoil(settings)
	}
	if f.begin != nil {
		f.begin(t)
	}
	began := time.Now()
	p := s.start(t, f.role, settings)
	admin := settings[f.role+".admin-addr"]
	lab.Until(t, 15*time.Second, func(ctx context.Context) error {
		_, text, err := ask(ctx, admin, "/-/ready")
		if err != nil {
			return err
		}
		for condition, want := range f.says {
			if !saysOnce(text, condition, want) {
				return fmt.Errorf("%s does not say %q:\n%s", condition, want, text)
			}
		}
		return nil
	})
	told := time.Since(began)
	lab.Until(t, 2*quietFor, func(context.Context) error { // a flood needs time to show
		if d := time.Since(began); d < quietFor {
			return fmt.Errorf("only %v have passed", d)
		}
		return nil
	})
	lines := p.Stdout() + p.Stderr()
	if n := strings.Count(lines, "\n"); n > mostLines {
		t.Errorf("%d lines within %v, want at most %d:\n%s", n, time.Since(began), mostLines, lines)
	}
	for condition, want := range f.says {
		if flag := want[strings.Index(want, "--"):]; !strings.Contains(lines, strings.Fields(strings.Trim(flag, ")"))[0]) {
			t.Errorf("the log does not tell of %s (%s):\n%s", condition, want, lines)
		}
	}
	if f.mend != nil {
		f.mend(t)
		mended := time.Now()
		s.untilAnswers(t, admin, f.says)
		t.Logf("told after %v in %d lines, recovered after %v", told, strings.Count(lines, "\n"), time.Since(mended))
	} else {
		t.Logf("told after %v in %d lines", told, strings.Count(lines, "\n"))
	}
}

// saysOnce looks for the text in the line of /-/ready that belongs to the condition.
func saysOnce(ready, condition, want string) bool {
	for line := range strings.Lines(ready) {
		if strings.Contains(line, condition+": ") {
			return strings.Contains(line, want)
		}
	}
	return false
}

// untilAnswers polls until none of the conditions is unmet any more.
func (s *secured) untilAnswers(t *testing.T, admin string, conditions map[string]string) {
	t.Helper()
	lab.Until(t, 30*time.Second, func(ctx context.Context) error {
		code, text, err := ask(ctx, admin, "/-/ready")
		if err != nil || code == http.StatusOK {
			return err
		}
		for condition := range conditions {
			if strings.Contains(text, condition+": ") {
				return fmt.Errorf("%s: %s", condition, text)
			}
		}
		return nil
	})
}

// foreignRoot makes a root that belongs to somebody else, and returns what gives it to eshop.
func (s *secured) foreignRoot(t *testing.T) func(*testing.T) {
	t.Helper()
	owner := s.connectZooKeeper(t, "owner:"+s.password("zookeeper owner"))
	if _, err := owner.Create("/foreign", nil, 0, zk.DigestACL(zk.PermAll, "owner", s.password("zookeeper owner"))); err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T) {
		t.Helper()
		if _, err := owner.SetACL("/foreign", zk.DigestACL(zk.PermAll, "eshop", s.password("zookeeper")), -1); err != nil {
			t.Fatal(err)
		}
	}
}
