package lab

import (
	"context"
	"crypto/tls"
	"errors"
	"strconv"
	"testing"
	"time"

	"eshop/pkg/lab/internal/probe"
	"eshop/pkg/lab/internal/server"
	"eshop/pkg/lab/internal/wire"
)

// SecureRedis is a Redis Cluster of three masters that speak TLS only, to clients and among each other. The default user is
// off.
type SecureRedis struct {
	Addrs         []string
	AdminPassword string

	tls *tls.Config
}

// RedisSecure starts a cluster for this test alone. Its users beside Admin are given as lines of an ACL file: "user …".
func RedisSecure(tb testing.TB, ca *Authority, users ...string) *SecureRedis {
	tb.Helper()
	require(tb, wire.Redis)
	c := &SecureRedis{AdminPassword: newPassword(), tls: ca.Client(tb)}
	lines := append([]string{"user default off", "user " + Admin + " on >" + c.AdminPassword + " ~* &* +@all"}, users...)
	var ports []int
	for range 3 {
		port, addr := takePort(tb, server.RedisBusOffset)
		dir := tb.TempDir()
		Start(tb, Command{Path: "redis-server", Dir: dir, Args: []string{
			"--port", "0", "--tls-port", strconv.Itoa(port), "--bind", "127.0.0.1", "--daemonize", "no", "--logfile", "",
			"--tls-cert-file", ca.CertFile, "--tls-key-file", ca.KeyFile, "--tls-ca-cert-file", ca.CAFile, "--tls-auth-clients", "no",
			"--tls-cluster", "yes", "--tls-replication", "yes", "--aclfile", settingsFile(tb, dir, "users.acl", lines...),
			"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000", "--save", "", "--appendonly", "no",
		}})
		ports, c.Addrs = append(ports, port), append(c.Addrs, addr)
	}
	Until(tb, 20*time.Second, func(ctx context.Context) error {
		for i := range c.Addrs {
			if _, err := c.Do(ctx, i, "PING"); err != nil {
				return err
			}
		}
		return nil
	})
	const slots = 16384
	for i, port := range ports {
		for _, command := range [][]string{
			{"CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i + 1)},
			{"CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(i * slots / len(ports)), strconv.Itoa((i+1)*slots/len(ports) - 1)},
		} {
			if _, err := c.Do(tb.Context(), i, command...); err != nil {
				tb.Fatal(err)
			}
		}
		if i > 0 {
			if _, err := c.Do(tb.Context(), 0, "CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(port)); err != nil {
				tb.Fatal(err)
			}
		}
	}
	Until(tb, 20*time.Second, func(ctx context.Context) error {
		for i := range c.Addrs {
			info, err := c.Do(ctx, i, "CLUSTER", "INFO")
			if err != nil {
				return err
			}
			if probe.Field(info, "cluster_state") != "ok" || probe.Field(info, "cluster_known_nodes") != strconv.Itoa(len(ports)) {
				return errors.New("the cluster is not whole in the view of " + c.Addrs[i])
			}
		}
		return nil
	})
	for i := range c.Addrs {
		if _, err := c.Do(tb.Context(), i, "CONFIG", "RESETSTAT"); err != nil {
			tb.Fatal(err)
		}
	}
	return c
}

// Do sends one command to node i as Admin and returns the reply as text; arrays are not understood.
func (c *SecureRedis) Do(ctx context.Context, i int, args ...string) (string, error) {
	return probe.RedisTLS(ctx, c.Addrs[i], c.tls, Admin, c.AdminPassword, args...)
}

// SetUser gives a user, on every node, the rules that an ACL line has after the name.
func (c *SecureRedis) SetUser(tb testing.TB, user string, rules ...string) {
	tb.Helper()
	for i := range c.Addrs {
		if _, err := c.Do(tb.Context(), i, append([]string{"ACL", "SETUSER", user}, rules...)...); err != nil {
			tb.Fatal(err)
		}
	}
}
