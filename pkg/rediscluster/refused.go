package rediscluster

import (
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"

	"eshop/pkg/credential"
)

// explain puts before an error which flag to look at, when Redis and this client do not accept each other.
func (c Config) explain(err error) error {
	if err == nil {
		return nil
	}
	return credential.Advise(c.advice(err), err)
}

func (c Config) advice(err error) string {
	var reply redis.Error
	if errors.As(err, &reply) {
		text := reply.Error()
		switch {
		case strings.HasPrefix(text, "WRONGPASS"):
			return "Redis does not accept the user and the password: look at --redis.username and --redis.password-file"
		case strings.HasPrefix(text, "NOAUTH"):
			return "Redis wants a password: give --redis.password-file and, where it has users, --redis.username"
		case strings.HasPrefix(text, "NOPERM"), strings.HasPrefix(text, "ERR The user executing the script can't"):
			user := "the user " + c.Username
			if c.Username == "" {
				user = "the default user"
			}
			return "Redis does not let " + user + " (--redis.username) do what is needed: its ACL lacks a command or a key"
		case strings.HasPrefix(text, "ERR AUTH"):
			return "Redis has no password for this user: look at --redis.username and --redis.password-file"
		}
		return ""
	}
	return credential.Client{Area: "redis", Addrs: "addrs", Encrypted: c.TLS != nil}.Connection(err)
}
