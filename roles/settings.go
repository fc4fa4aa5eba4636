package roles

import (
	"time"

	"eshop/pkg/config"
)

// settings are the targets of every flag. A command defines those it has a use for; the others keep
// their zero value and are never looked at.
type settings struct {
	redis     redisSettings
	kafka     kafkaSettings
	zookeeper zookeeperSettings
	origin    originSettings
	gateway   gatewaySettings
	cache     cacheSettings
	hotcount  hotcountSettings
	embedded  embeddedSettings
	security  securitySettings
	trace     traceSettings
	process   processSettings
	unit      unitSettings
}

type redisSettings struct {
	addrs                          []string
	username, passwordFile, caFile string
	tls                            bool
}

func (r *redisSettings) define(set *config.Set) {
	set.Area("Redis Cluster")
	set.Addrs(&r.addrs, "redis.addrs", "some nodes of the cluster; the others are learnt from them")
	set.Text(&r.username, "redis.username", "name", "", "user, where the cluster has access lists")
	set.Secret(&r.passwordFile, "redis.password-file", "file that holds the password")
	set.Switch(&r.tls, "redis.tls", false, "encrypt connections")
	set.Text(&r.caFile, "redis.tls-ca-file", "file", "", "certificates to trust, PEM; without it the system's")
}

type kafkaSettings struct {
	brokers                        []string
	sasl                           string
	username, passwordFile, caFile string
	tls                            bool

	topicChange, topicAccess, topicInvalidate, topicDead string
	access                                               bool // the command has a flag for topicAccess

	groupCache, groupHotcount string
}

func (k *kafkaSettings) define(set *config.Set) {
	set.Area("Kafka")
	set.Addrs(&k.brokers, "kafka.brokers", "some brokers; the others are learnt from them")
	set.Choice(&k.sasl, "kafka.sasl", "off", []string{"off", "plain", "scram-sha-256", "scram-sha-512"}, "authentication")
	set.Text(&k.username, "kafka.username", "name", "", "user for --kafka.sasl")
	set.Secret(&k.passwordFile, "kafka.password-file", "file that holds the password")
	set.Switch(&k.tls, "kafka.tls", false, "encrypt connections")
	set.Text(&k.caFile, "kafka.tls-ca-file", "file", "", "certificates to trust, PEM; without it the system's")
	set.Text(&k.topicChange, "kafka.topic.change", "topic", "cache-message", "changes, as the shop's services send them")
	set.Text(&k.topicInvalidate, "kafka.topic.invalidate", "topic", "cache-invalidate", "invalidations, read by every gateway and cache process")
	set.Text(&k.topicDead, "kafka.topic.dead", "topic", "cache-message-dead", "changes that could not be understood, with the reason")
}

// defineAccess is for the commands that create the access log's topic, write to it or read it.
func (k *kafkaSettings) defineAccess(set *config.Set) {
	k.access = true
	set.Text(&k.topicAccess, "kafka.topic.access", "topic", "access-log", "access log of the gateways")
}

func (k *kafkaSettings) defineCacheGroup(set *config.Set) {
	set.Text(&k.groupCache, "kafka.group.cache", "group", "eshop-cache", "consumer group of the cache processes")
}

func (k *kafkaSettings) defineHotcountGroup(set *config.Set) {
	set.Text(&k.groupHotcount, "kafka.group.hotcount", "group", "eshop-hotcount", "consumer group of the hotcount processes")
}

type zookeeperSettings struct {
	servers          []string
	root             string
	authFile, caFile string
	tls              bool
	session          time.Duration
}

func (z *zookeeperSettings) define(set *config.Set) {
	set.Area("ZooKeeper")
	set.Addrs(&z.servers, "zookeeper.servers", "the ensemble")
	set.Text(&z.root, "zookeeper.root", "path", "/eshop", "node under which everything is kept")
	set.Secret(&z.authFile, "zookeeper.auth-file", "file that holds user:password for digest authentication")
	set.Switch(&z.tls, "zookeeper.tls", false, "encrypt connections")
	set.Text(&z.caFile, "zookeeper.tls-ca-file", "file", "", "certificates to trust, PEM; without it the system's")
	set.Duration(&z.session, "zookeeper.session-timeout", 10*time.Second, time.Second, "how long a lost process keeps its locks and its membership")
}

type originSettings struct {
	url         string
	timeout     time.Duration
	concurrency int
}

func (o *originSettings) define(set *config.Set) {
	set.Area("Origin")
	set.URL(&o.url, "origin.url", "base URL of the shop's own services")
	set.Duration(&o.timeout, "origin.timeout", 2*time.Second, time.Millisecond, "limit of one request")
	set.Whole(&o.concurrency, "origin.concurrency", 64, 1, 10_000, "most requests at a time")
}

type gatewaySettings struct {
	addr, peerAddr, adminAddr, advertise string
	tls                                  tlsSettings
	id                                   string
	l1Bytes                              int64
	template                             string
	maxStaleness                         time.Duration
	softTTL                              config.DurationRange
	audit                                int
	accessLog                            string
	logRedact                            []string
	logClient                            bool
	limits                               gatewayLimits
}

// define takes the host of the default addresses: empty for every one. In a process of several roles
// there is one admin listener for all of them.
func (g *gatewaySettings) define(set *config.Set, host string, ownAdmin bool) {
	set.Area("Gateway")
	g.defineListeners(set, host)
	if ownAdmin {
		g.defineAdmin(set)
	}
	g.defineTLS(set)
	set.Text(&g.id, "gateway.id", "name", "", "identity, unique among the gateways; without it the host name")
	set.Addr(&g.advertise, "gateway.advertise-addr", "peer address the others are told; without it the bound one")
	g.defineMemory(set)
	set.Text(&g.template, "gateway.template", "file", "", "html/template file of the product page; without it the bundled one")
	set.Duration(&g.maxStaleness, "gateway.max-staleness", 30*time.Second, time.Second, "without news from the bus for so long, copies are checked before use")
	set.Range(&g.softTTL, "gateway.soft-ttl", config.DurationRange{Min: 600 * time.Second, Max: 1200 * time.Second}, time.Second, "age at which a page is refreshed in the background, drawn from this range")
	set.Whole(&g.audit, "gateway.audit", 10, 0, 10_000, auditMeaning)
	set.Checked(&g.accessLog, "gateway.access-log", "mode", "counts", "what the topic gets: counts (hits per product), full (a record a request), sampled:1/N, or off", checkAccessLog)
	set.Words(&g.logRedact, "gateway.access-log-redact", "header,...", "headers left out of full records, besides cookies and credentials")
	set.Switch(&g.logClient, "gateway.access-log-client", false, "full records tell the client's address")
	g.limits.define(set)
}

// defineTLS, defineListeners and defineMemory stand alone because a unit depends on these settings too.
func (g *gatewaySettings) defineTLS(set *config.Set) {
	set.Secret(&g.tls.cert, "gateway.tls-cert", "certificate of the public listener, PEM, with those between it and its authority's; read again when it changes. Without it the listener is plain")
	set.Secret(&g.tls.key, "gateway.tls-key", "private key of --gateway.tls-cert, PEM")
}

func (g *gatewaySettings) defineListeners(set *config.Set, host string) {
	set.Listen(&g.addr, "gateway.addr", host+":8080", "public listener")
	set.Listen(&g.peerAddr, "gateway.peer-addr", host+":8081", "listener for the other gateways")
}

func (g *gatewaySettings) defineMemory(set *config.Set) {
	set.Bytes(&g.l1Bytes, "gateway.l1-bytes", 256<<20, 1<<20, "memory for documents and pages")
}

func (g *gatewaySettings) defineAdmin(set *config.Set) {
	set.Listen(&g.adminAddr, "gateway.admin-addr", "127.0.0.1:8090", "admin listener")
}

type cacheSettings struct {
	addr, adminAddr, advertise string
	id                         string
	l1Bytes                    int64
	redisTTL, refresh          time.Duration
	audit                      int
	unknownRate                float64
}

func (c *cacheSettings) define(set *config.Set, host string, ownAdmin bool) {
	set.Area("Cache")
	set.Listen(&c.addr, "cache.addr", host+":8082", "listener for the gateways")
	if ownAdmin {
		c.defineAdmin(set)
	}
	set.Text(&c.id, "cache.id", "name", "", "identity, unique among the cache processes; without it the host name")
	set.Addr(&c.advertise, "cache.advertise-addr", "address the gateways are told; without it the bound one")
	c.defineMemory(set)
	set.Duration(&c.redisTTL, "cache.redis-ttl", 90*24*time.Hour, time.Minute, "how long Redis keeps a document, more or less a tenth")
	set.Duration(&c.refresh, "cache.refresh", time.Hour, time.Second, "age at which a document that is read is pulled again")
	set.Whole(&c.audit, "cache.audit", 10, 0, 10_000, auditMeaning)
	set.Number(&c.unknownRate, "cache.unknown-rate", 200, 1, "pulls a second that may end in 404; above it, ids that Redis does not have are refused")
}

func (c *cacheSettings) defineMemory(set *config.Set) {
	set.Bytes(&c.l1Bytes, "cache.l1-bytes", 128<<20, 1<<20, "memory for documents")
}

func (c *cacheSettings) defineAdmin(set *config.Set) {
	set.Listen(&c.adminAddr, "cache.admin-addr", "127.0.0.1:8091", "admin listener")
}

type hotcountSettings struct {
	adminAddr    string
	id           string
	window, hold time.Duration
	floor, top   int
	factor       float64
	memory       int64
}

// define has the rule that is written to ZooKeeper when there is none yet; from then on that one counts.
func (h *hotcountSettings) define(set *config.Set, ownAdmin bool) {
	set.Area("Hotcount")
	if ownAdmin {
		h.defineAdmin(set)
	}
	set.Text(&h.id, "hotcount.id", "name", "", "identity, unique among the hotcount processes; without it the host name")
	set.Duration(&h.window, "hotcount.window", 10*time.Second, time.Second, "initial rule: how far back hits count")
	set.Whole(&h.floor, "hotcount.floor", 200, 1, 1_000_000_000, "initial rule: hits in the window below which nothing is hot")
	set.Number(&h.factor, "hotcount.factor", 10, 1, "initial rule: how many times the mean of the coldest 95 % a hot product has")
	set.Duration(&h.hold, "hotcount.hold", 5*time.Second, 0, "initial rule: how long a product stays hot after it has cooled")
	set.Whole(&h.top, "hotcount.top", 2000, 1, 20_000, "initial rule: products in the published ranking")
	h.defineMemory(set)
}

func (h *hotcountSettings) defineMemory(set *config.Set) {
	set.Bytes(&h.memory, "hotcount.memory", 64<<20, 8<<20, "for all counters of the process together")
}

func (h *hotcountSettings) defineAdmin(set *config.Set) {
	set.Listen(&h.adminAddr, "hotcount.admin-addr", "127.0.0.1:8092", "admin listener, with the page of what is hot")
}

type embeddedSettings struct {
	redisAddr, kafkaAddr, zookeeperAddr, sampleAddr string
	dataDir                                         string
	demoTraffic                                     bool
}

func (e *embeddedSettings) define(set *config.Set) {
	set.Area("Embedded servers, each started when its real one is not given")
	set.Listen(&e.redisAddr, "embedded.redis-addr", "127.0.0.1:0", "listener of the embedded Redis")
	set.Listen(&e.kafkaAddr, "embedded.kafka-addr", "127.0.0.1:0", "listener of the embedded Kafka")
	set.Listen(&e.zookeeperAddr, "embedded.zookeeper-addr", "127.0.0.1:0", "listener of the embedded ZooKeeper")
	set.Listen(&e.sampleAddr, "origin.sample-addr", "127.0.0.1:8099", "listener of the embedded sample shop")
	set.Text(&e.dataDir, "data-dir", "directory", "", "keeps the embedded servers' data; without it they forget")
	set.Switch(&e.demoTraffic, "demo-traffic", false, "send traffic to the own gateway, with a product that turns hot and cools")
}

// securityArea is that of the secrets of eshop itself; every other one belongs to a server.
const securityArea = "Security"

// tlsSettings are the files of one pair.
type tlsSettings struct{ cert, key, ca string }

type securitySettings struct {
	adminTokenFile, clusterTokenFile string
	cluster                          tlsSettings
}

func (s *securitySettings) defineAdmin(set *config.Set) {
	set.Area(securityArea)
	set.Secret(&s.adminTokenFile, "admin.token-file", "file that holds the token for changes over the admin listener; without it there are none")
}

func (s *securitySettings) defineCluster(set *config.Set) {
	set.Area(securityArea)
	set.Secret(&s.clusterTokenFile, "cluster.token-file", "file that holds the token gateways and cache processes show each other; it, or --cluster.tls-cert, is needed beyond loopback")
	s.defineClusterPair(set)
	set.Text(&s.cluster.ca, "cluster.tls-ca", "file", "", "authorities of which the others' certificates must be, PEM; read again when it changes")
}

func (s *securitySettings) defineClusterPair(set *config.Set) {
	set.Secret(&s.cluster.cert, "cluster.tls-cert", "certificate that gateways and cache processes show each other, PEM; read again when it changes. Without it they speak plain HTTP")
	set.Secret(&s.cluster.key, "cluster.tls-key", "private key of --cluster.tls-cert, PEM")
}

type processSettings struct {
	adminAddr           string // of a process with several roles
	configFile          string
	check               bool
	logLevel, logFormat string
	delay, timeout      time.Duration
}

// define takes the default log level: a command that runs for a moment is quieter than a role.
func (p *processSettings) define(set *config.Set, level string) {
	set.Area("Process")
	set.Text(&p.configFile, "config", "file", "", "YAML file with the same keys as the flags")
	set.Switch(&p.check, "check-config", false, "print the settings in effect, without secrets, and exit")
	set.OfInvocation("config")
	set.OfInvocation("check-config")
	set.Choice(&p.logLevel, "log.level", level, []string{"debug", "info", "warn", "error"}, "least level that is logged")
	set.Choice(&p.logFormat, "log.format", "text", []string{"text", "json"}, "form of the log")
}

func (p *processSettings) defineAdmin(set *config.Set) {
	set.Listen(&p.adminAddr, "admin.addr", "127.0.0.1:8090", "admin listener of the whole process")
}

func (p *processSettings) defineShutdown(set *config.Set) {
	set.Duration(&p.delay, "shutdown-delay", 0, 0, "between becoming unready and refusing connections, for load balancers to notice")
	set.Duration(&p.timeout, "shutdown-timeout", 30*time.Second, time.Second, "limit of the stop after that")
}

// auditMeaning is that of --gateway.audit and --cache.audit.
const auditMeaning = "copies in memory that are compared with Redis each second, and a hundredth of them with the shop; 0: none"

// auditRate is the flag's value as the roles have it, where 0 is the default.
func auditRate(flag int) int {
	if flag == 0 {
		return -1
	}
	return flag
}
