package zookeeper

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/prometheus/client_golang/prometheus"
)

// Defaults for the zero values of Config.
const (
	DefaultRoot           = "/eshop"
	DefaultSessionTimeout = 10 * time.Second
	DefaultMaxCalls       = 1024
	DefaultMaxTickets     = 4096
)

// Config says which ensemble to use and how.
type Config struct {
	// Servers lists host:port of the ensemble's members; a host without port
	// gets 2181. Names are resolved at every dial.
	Servers []string
	// Root is the node under which everything is kept; default /eshop.
	Root string
	// SessionTimeout is what is asked of the servers; default 10 s, at least
	// 300 ms. What the servers grant instead counts.
	SessionTimeout time.Duration
	// Auth, when set, is presented to the servers, and every node created is
	// then open to this user alone.
	Auth *Auth
	// TLS, when set, encrypts the connections; nil means plain TCP. Without a
	// ServerName a server's certificate must be for the host it is reached by.
	TLS *tls.Config
	// MaxCalls bounds the requests under way, including those whose caller
	// has gone; default 1024. Further callers wait.
	MaxCalls int
	// MaxTickets bounds the lock nodes that exist at a time, including those
	// being removed; default 4096. Further callers of Enqueue wait.
	MaxTickets int
}

// Auth is a user of ZooKeeper's digest scheme.
type Auth struct {
	User     string
	Password string
}

// Deps are what a Session takes from its surroundings. Nil fields are allowed:
// nothing is logged or registered then.
type Deps struct {
	Log      *slog.Logger
	Registry prometheus.Registerer
}

// filled returns the configuration with defaults, or every problem it has.
func (c Config) filled() (Config, error) {
	var problems []error
	if len(c.Servers) == 0 {
		problems = append(problems, errors.New("no ZooKeeper server is given"))
	}
	for _, server := range c.Servers {
		if strings.TrimSpace(server) == "" {
			problems = append(problems, errors.New("a ZooKeeper server's address is empty"))
		}
	}
	c.Servers = zk.FormatServers(c.Servers)
	if c.Root == "" {
		c.Root = DefaultRoot
	}
	if !strings.HasPrefix(c.Root, "/") || path.Clean(c.Root) != c.Root {
		problems = append(problems, fmt.Errorf("the root %q is not an absolute, clean path", c.Root))
	}
	if c.Root == "/" {
		c.Root = ""
	}
	if c.SessionTimeout == 0 {
		c.SessionTimeout = DefaultSessionTimeout
	}
	if c.SessionTimeout < 300*time.Millisecond {
		problems = append(problems, fmt.Errorf("the session timeout %v is below 300 ms", c.SessionTimeout))
	}
	if c.Auth != nil && (c.Auth.User == "" || strings.Contains(c.Auth.User, ":")) {
		problems = append(problems, fmt.Errorf("the digest user %q is empty or holds a colon", c.Auth.User))
	}
	if c.MaxCalls <= 0 {
		c.MaxCalls = DefaultMaxCalls
	}
	if c.MaxTickets <= 0 {
		c.MaxTickets = DefaultMaxTickets
	}
	return c, errors.Join(problems...)
}

// acl is what every node created here gets.
func (c Config) acl() []zk.ACL {
	if c.Auth == nil {
		return zk.WorldACL(zk.PermAll)
	}
	return zk.DigestACL(zk.PermAll, c.Auth.User, c.Auth.Password)
}
