package roles

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path"
	"strings"

	"eshop/pkg/catalog"
	"eshop/pkg/certificate"
	"eshop/pkg/config"
	"eshop/pkg/kafka"
	"eshop/pkg/origin"
	"eshop/pkg/rediscluster"
	"eshop/pkg/zookeeper"
)

// The functions of this file turn settings into the configurations of the clients. Each adds a
// problem for whatever it finds wrong, and goes on. A needed address that is missing is a problem of
// its own, so that all missing ones are listed together.

func (r *redisSettings) config(ttl *cacheSettings, problems *config.Problems) rediscluster.Config {
	c := rediscluster.Config{
		Addrs: r.addrs, Username: r.username,
		TLS: clientTLS("redis", r.tls, r.caFile, problems),
	}
	if r.passwordFile != "" {
		c.Password = config.RotatedSecret("redis.password-file", r.passwordFile, problems)
	}
	if ttl != nil {
		c.TTL = ttl.redisTTL
	}
	if r.username != "" && r.passwordFile == "" {
		problems.Add("redis.password-file", "", "is needed with --redis.username")
	}
	return c
}

func (k *kafkaSettings) config(problems *config.Problems) kafka.Config {
	c := kafka.Config{Brokers: k.brokers, TLS: clientTLS("kafka", k.tls, k.caFile, problems)}
	password := config.RotatedSecret("kafka.password-file", k.passwordFile, problems)
	if k.sasl == "off" || k.sasl == "" {
		if k.username != "" {
			problems.Add("kafka.username", k.username, "is used with --kafka.sasl only")
		}
		if k.passwordFile != "" {
			problems.Add("kafka.password-file", k.passwordFile, "is used with --kafka.sasl only")
		}
		return c
	}
	if k.username == "" {
		problems.Add("kafka.username", "", "is needed with --kafka.sasl")
	}
	if k.passwordFile == "" {
		problems.Add("kafka.password-file", "", "is needed with --kafka.sasl")
	}
	c.SASL = &kafka.SASL{Mechanism: strings.ToUpper(k.sasl), User: k.username, Password: password}
	return c
}

// topics checks the names of the topics that the command has a flag for.
func (k *kafkaSettings) topics(problems *config.Problems) {
	taken := make(map[string]string)
	for _, t := range []struct{ flag, name string }{
		{"kafka.topic.change", k.topicChange}, {"kafka.topic.access", k.topicAccess},
		{"kafka.topic.invalidate", k.topicInvalidate}, {"kafka.topic.dead", k.topicDead},
	} {
		switch {
		case t.flag == "kafka.topic.access" && !k.access:
			continue
		case !isTopic(t.name):
			problems.Add(t.flag, t.name, "must have 1 to 249 letters, digits, dots, dashes and underscores")
		case taken[t.name] != "":
			problems.Add(t.flag, t.name, "is the topic of --"+taken[t.name]+" already")
		}
		taken[t.name] = t.flag
	}
}

// isTopic reports whether Kafka allows the name.
func isTopic(name string) bool {
	if name == "" || len(name) > 249 || name == "." || name == ".." {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
}

func (z *zookeeperSettings) config(problems *config.Problems) zookeeper.Config {
	c := zookeeper.Config{Servers: z.servers, Root: z.root, SessionTimeout: z.session, TLS: clientTLS("zookeeper", z.tls, z.caFile, problems)}
	if !strings.HasPrefix(z.root, "/") || path.Clean(z.root) != z.root {
		problems.Add("zookeeper.root", z.root, "must be an absolute path without a slash at its end, like /eshop")
	}
	if secret := config.ReadSecret("zookeeper.auth-file", z.authFile, problems); secret != "" {
		user, password, found := strings.Cut(secret, ":")
		if !found || user == "" || password == "" {
			problems.Add("zookeeper.auth-file", z.authFile, "must hold user:password")
		}
		c.Auth = &zookeeper.Auth{User: user, Password: password}
	}
	return c
}

func (o *originSettings) config() origin.Config {
	return origin.Config{BaseURL: o.url, Timeout: o.timeout, Concurrency: o.concurrency}
}

// clientTLS returns nil for plain connections.
func clientTLS(area string, on bool, caFile string, problems *config.Problems) *tls.Config {
	if !on {
		if caFile != "" {
			problems.Add(area+".tls-ca-file", caFile, "is used with --"+area+".tls only")
		}
		return nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return c
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		problems.Add(area+".tls-ca-file", caFile, "cannot be read: "+err.Error())
		return c
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		problems.Add(area+".tls-ca-file", caFile, "holds no PEM certificate")
	}
	return c
}

// pair is what a listener of eshop's own shows. The files are read here once, so that what is wrong with
// them is said with everything else.
func (t tlsSettings) pair(area string, mutual bool, problems *config.Problems) certificate.Config {
	c := certificate.Config{Area: area, Cert: t.cert, Key: t.key, CA: t.ca}
	given := []struct{ flag, file string }{{area + ".tls-cert", t.cert}, {area + ".tls-key", t.key}}
	if mutual {
		given = append(given, struct{ flag, file string }{area + ".tls-ca", t.ca})
	}
	var missing, there []string
	for _, g := range given {
		if g.file == "" {
			missing = append(missing, g.flag)
		} else {
			there = append(there, "--"+g.flag)
		}
	}
	switch {
	case len(there) == 0:
		return certificate.Config{}
	case len(missing) == 0:
		problems.AddError("", c.Check())
	}
	for _, flag := range missing {
		problems.Add(flag, "", "is needed with "+strings.Join(there, " and "))
	}
	return c
}

// needed adds a problem for an address that a command cannot do without. One that
// was given and cannot be read is a problem already.
func needed(command, flag string, given bool, problems *config.Problems) {
	if !given && !problems.Names(flag) {
		problems.Add(flag, "", "is needed by eshop "+command)
	}
}

// catalogOf makes the catalogue of the file's kinds and pages; nil when they are wrong.
func catalogOf(loaded config.Loaded, problems *config.Problems) *catalog.Catalog {
	cat, err := catalog.New(loaded.Kinds, loaded.Pages)
	if err != nil {
		problems.AddError("", err)
		return nil
	}
	return cat
}
