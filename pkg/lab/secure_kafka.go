package lab

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"eshop/pkg/lab/internal/server"
	"eshop/pkg/lab/internal/wire"
)

// SecureKafka is one broker whose listener for clients is SASL_SSL with PLAIN and both SCRAM mechanisms, and whose
// authorizer refuses what no ACL allows.
type SecureKafka struct {
	Addr          string
	AdminPassword string // for PLAIN
}

// KafkaSecure starts a broker for this test alone. The users of the PLAIN mechanism are given with their passwords; those of
// SCRAM, and ACLs, are made by [Admin] over the protocol.
func KafkaSecure(tb testing.TB, ca *Authority, plain map[string]string) *SecureKafka {
	tb.Helper()
	require(tb, wire.Kafka)
	_, addr := takePort(tb, 0)
	_, controller := takePort(tb, 0)
	_, inner := takePort(tb, 0)
	k := &SecureKafka{Addr: addr, AdminPassword: newPassword()}
	dir := tb.TempDir()
	users := maps.Clone(plain)
	if users == nil {
		users = make(map[string]string)
	}
	users[Admin] = k.AdminPassword
	login := "org.apache.kafka.common.security.plain.PlainLoginModule required"
	for _, user := range slices.Sorted(maps.Keys(users)) {
		login += fmt.Sprintf(" user_%s=%q", strings.ReplaceAll(user, `"`, ""), users[user])
	}
	scram := "org.apache.kafka.common.security.scram.ScramLoginModule required;"
	file := settingsFile(tb, dir, "server.properties",
		"process.roles=broker,controller", "node.id=1", "controller.quorum.voters=1@"+controller,
		"listeners=CLIENT://"+addr+",INNER://"+inner+",CONTROLLER://"+controller,
		"advertised.listeners=CLIENT://"+addr+",INNER://"+inner,
		"controller.listener.names=CONTROLLER", "inter.broker.listener.name=INNER",
		// The broker and the controller of one process: who comes over these two listeners has no name.
		"listener.security.protocol.map=CLIENT:SASL_SSL,INNER:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"listener.name.client.ssl.keystore.type=PEM", "listener.name.client.ssl.keystore.location="+ca.BothFile,
		"listener.name.client.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		"listener.name.client.plain.sasl.jaas.config="+login+";",
		"listener.name.client.scram-sha-256.sasl.jaas.config="+scram, "listener.name.client.scram-sha-512.sasl.jaas.config="+scram,
		"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users=User:"+Admin+";User:ANONYMOUS",
		"log.dirs="+filepath.Join(dir, "data"), "offsets.topic.replication.factor=1", "offsets.topic.num.partitions=2",
		"auto.create.topics.enable=false", "group.initial.rebalance.delay.ms=0",
	)
	args, err := server.KafkaAlone(tb.Context(), file, filepath.Join(dir, "data"))
	if err != nil {
		tb.Fatal(err)
	}
	Start(tb, Command{Path: "java", Args: args, Dir: dir})
	answersTLS(tb, addr, ca)
	return k
}

// answersTLS polls until a server at the address completes a handshake.
func answersTLS(tb testing.TB, addr string, ca *Authority) {
	tb.Helper()
	conf := ca.Client(tb)
	Until(tb, time.Minute, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		conn, err := dialTLS(ctx, addr, conf)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}
