package roles_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"eshop/pkg/embedded/origin"
	"eshop/pkg/lab"
)

// secured is a set of real servers that let nobody in without TLS, a password and rights, and the sample shop. The rights
// are those of the README.
type secured struct {
	t         *testing.T
	ca        *lab.Authority
	redis     *lab.SecureRedis
	kafka     *lab.SecureKafka
	zk        *lab.SecureZooKeeper
	shop      *origin.Server
	admin     sarama.ClusterAdmin // of Kafka
	passwords map[string]string   // by what they are for: "redis eshop-cache"
	dir       string
	redisACL  map[string][]string // rules by user, as the README has them
	kafkaACL  []kafkaRight
}

// kafkaRight is one line of kafka-acls.sh.
type kafkaRight struct {
	user, operation string
	topics, groups  []string
}

// mechanisms are those that the users log in with: each is used by one.
func mechanisms() map[string]string {
	return map[string]string{"eshop-gateway": "scram-sha-256", "eshop-cache": "scram-sha-512", "eshop-hotcount": "plain", "eshop-bootstrap": "scram-sha-512", "eshop-shop": "plain"}
}

func newSecured(t *testing.T) *secured {
	t.Helper()
	s := &secured{t: t, ca: lab.NewAuthority(t), passwords: make(map[string]string), dir: t.TempDir()}
	s.readREADME()
	var users []string
	for _, user := range []string{"eshop-gateway", "eshop-cache"} {
		users = append(users, "user "+user+" "+strings.Join(s.rules(user), " "))
	}
	s.redis = lab.RedisSecure(t, s.ca, users...)
	s.zk = lab.ZooKeeperSecure(t, s.ca)
	s.kafka = lab.KafkaSecure(t, s.ca, map[string]string{"eshop-hotcount": s.password("kafka eshop-hotcount"), "eshop-shop": s.password("kafka eshop-shop")})
	s.connectKafka()
	for _, r := range s.kafkaACL {
		s.allow(r)
	}
	var err error
	if s.shop, err = origin.Start(t.Context(), origin.Config{}, origin.Deps{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.shop.Close() })
	return s
}

// password draws one for the purpose, once.
func (s *secured) password(purpose string) string {
	if s.passwords[purpose] == "" {
		s.passwords[purpose] = "secret" + strings.ToLower(rand.Text())
	}
	return s.passwords[purpose]
}

// file holds the password for a flag.
func (s *secured) file(text string) string {
	s.t.Helper()
	f, err := os.CreateTemp(s.dir, "secret-*")
	if err == nil {
		_, err = f.WriteString(text + "\n")
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return f.Name()
}

// readREADME takes the rights from the section "Locked down".
func (s *secured) readREADME() {
	s.t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		s.t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Locked down\n")
	section, _, _ = strings.Cut(section, "\n## ")
	s.redisACL = make(map[string][]string)
	for line := range strings.Lines(section) {
		words := strings.Fields(line)
		switch {
		case len(words) > 2 && words[0] == "user":
			s.redisACL[words[1]] = words[2:]
		case len(words) > 2 && words[0] == "--allow-principal":
			r := kafkaRight{user: strings.TrimPrefix(words[1], "User:")}
			for i := 2; i+1 < len(words); i += 2 {
				switch words[i] {
				case "--operation":
					r.operation = words[i+1]
				case "--topic":
					r.topics = append(r.topics, words[i+1])
				case "--group":
					r.groups = append(r.groups, words[i+1])
				default:
					s.t.Fatalf("README: %q is not understood in %q", words[i], line)
				}
			}
			s.kafkaACL = append(s.kafkaACL, r)
		}
	}
	if len(s.redisACL) != 2 || len(s.kafkaACL) != 8 {
		s.t.Fatalf("README: got %d Redis users and %d Kafka rights, want 2 and 8", len(s.redisACL), len(s.kafkaACL))
	}
}

// rules are a Redis user's, with its password.
func (s *secured) rules(user string) []string {
	return slices.Collect(func(yield func(string) bool) {
		for _, rule := range s.redisACL[user] {
			if !yield(strings.ReplaceAll(rule, "PASSWORD", s.password("redis "+user))) {
				return
			}
		}
	})
}

// allowed is a configuration of the user who may do everything.
func (s *secured) allowed() *sarama.Config {
	s.t.Helper()
	conf := sarama.NewConfig()
	conf.Version = sarama.V2_8_0_0
	conf.Net.TLS.Enable, conf.Net.TLS.Config = true, s.ca.Client(s.t)
	conf.Net.SASL.Enable, conf.Net.SASL.Mechanism = true, sarama.SASLTypePlaintext
	conf.Net.SASL.User, conf.Net.SASL.Password = lab.Admin, s.kafka.AdminPassword
	conf.Producer.Return.Successes = true
	return conf
}

// connectKafka logs in as the user who may do everything, and makes the users of SCRAM.
func (s *secured) connectKafka() {
	s.t.Helper()
	var err error
	if s.admin, err = sarama.NewClusterAdmin([]string{s.kafka.Addr}, s.allowed()); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { s.admin.Close() })
	for user, mechanism := range mechanisms() {
		if strings.HasPrefix(mechanism, "scram") {
			s.setKafkaPassword(user, s.password("kafka "+user))
		}
	}
}

// setKafkaPassword sets a SCRAM user's.
func (s *secured) setKafkaPassword(user, password string) {
	s.t.Helper()
	mechanism := sarama.SCRAM_MECHANISM_SHA_512
	if mechanisms()[user] == "scram-sha-256" {
		mechanism = sarama.SCRAM_MECHANISM_SHA_256
	}
	results, err := s.admin.UpsertUserScramCredentials([]sarama.AlterUserScramCredentialsUpsert{
		{Name: user, Mechanism: mechanism, Iterations: 4096, Salt: []byte(rand.Text()), Password: []byte(password)}})
	if err != nil || len(results) != 1 || results[0].ErrorCode != sarama.ErrNoError {
		s.t.Fatalf("set the password of %s: %v %v", user, results, err)
	}
}

// each calls f with every ACL that a right stands for.
func (r kafkaRight) each(f func(sarama.Resource, sarama.Acl) error) error {
	acl := sarama.Acl{Principal: "User:" + r.user, Host: "*", PermissionType: sarama.AclPermissionAllow}
	if err := acl.Operation.UnmarshalText([]byte(r.operation)); err != nil {
		return err
	}
	for kind, names := range map[sarama.AclResourceType][]string{sarama.AclResourceTopic: r.topics, sarama.AclResourceGroup: r.groups} {
		for _, name := range names {
			if err := f(sarama.Resource{ResourceType: kind, ResourceName: name, ResourcePatternType: sarama.AclPatternLiteral}, acl); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *secured) allow(r kafkaRight) {
	s.t.Helper()
	if err := r.each(func(resource sarama.Resource, acl sarama.Acl) error {
		return s.admin.CreateACLs([]*sarama.ResourceAcls{{Resource: resource, Acls: []*sarama.Acl{&acl}}})
	}); err != nil {
		s.t.Fatalf("allow %+v: %v", r, err)
	}
}

func (s *secured) forbid(r kafkaRight) {
	s.t.Helper()
	if err := r.each(func(resource sarama.Resource, acl sarama.Acl) error {
		_, err := s.admin.DeleteACL(sarama.AclFilter{ResourceType: resource.ResourceType, ResourceName: &resource.ResourceName,
			ResourcePatternTypeFilter: resource.ResourcePatternType, Principal: &acl.Principal, Host: &acl.Host, Operation: acl.Operation, PermissionType: acl.PermissionType}, false)
		return err
	}); err != nil {
		s.t.Fatalf("forbid %+v: %v", r, err)
	}
}

// flags are the security settings of a command, as good ones; a test changes some.
type flags map[string]string

func (s *secured) flags(command string) flags {
	user := "eshop-" + command
	f := flags{
		"kafka.brokers": s.kafka.Addr, "kafka.tls": "true", "kafka.tls-ca-file": s.ca.CAFile, "kafka.sasl": mechanisms()[user],
		"kafka.username": user, "kafka.password-file": s.file(s.password("kafka " + user)),
	}
	if command == "shop" {
		return f
	}
	f["zookeeper.servers"], f["zookeeper.tls"], f["zookeeper.tls-ca-file"] = s.zk.Addr, "true", s.ca.CAFile
	f["zookeeper.auth-file"] = s.file("eshop:" + s.password("zookeeper"))
	if command == "gateway" || command == "cache" {
		f["redis.addrs"], f["redis.tls"], f["redis.tls-ca-file"] = strings.Join(s.redis.Addrs, ","), "true", s.ca.CAFile
		f["redis.username"], f["redis.password-file"] = user, s.file(s.password("redis "+user))
	}
	switch command {
	case "gateway":
		f["gateway.addr"], f["gateway.peer-addr"], f["gateway.admin-addr"], f["gateway.id"] = lab.FreeAddr(s.t), "127.0.0.1:0", lab.FreeAddr(s.t), "secured"
	case "cache":
		f["cache.addr"], f["cache.admin-addr"], f["cache.id"], f["origin.url"] = "127.0.0.1:0", lab.FreeAddr(s.t), "secured", s.shop.URL()
	case "hotcount":
		f["hotcount.admin-addr"], f["hotcount.id"], f["hotcount.floor"] = lab.FreeAddr(s.t), "secured", "20"
	}
	if command != "bootstrap" {
		f["admin.token-file"] = s.file(s.password("admin token"))
	}
	return f
}

// start runs a command of the binary. At the end of the test it has to end well, and none of the secrets may be in what it
// has written.
func (s *secured) start(t *testing.T, command string, f flags, more ...string) *lab.Process {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{command}, more...)
	for name, value := range f {
		args = append(args, "--"+name+"="+value)
	}
	p := lab.Start(t, lab.Command{Path: binary, Dir: s.dir, Env: []string{runAsEshop + "=1"}, Args: args})
	t.Cleanup(func() {
		if _, ended := p.Exited(); !ended {
			if code := p.Stop(30 * time.Second); code != 0 {
				t.Errorf("eshop %s ended with code %d", command, code)
			}
		}
		s.search(t, "the output of eshop "+command, p.Stdout()+p.Stderr())
	})
	return p
}

func ask(ctx context.Context, addr, path string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
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

// untilReady polls until a role is.
func untilReady(t *testing.T, admin string) {
	t.Helper()
	lab.Until(t, 30*time.Second, func(ctx context.Context) error {
		code, text, err := ask(ctx, admin, "/-/ready")
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("/-/ready: %d %s", code, text)
		}
		return err
	})
}
