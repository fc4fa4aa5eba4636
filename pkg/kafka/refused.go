package kafka

import (
	"errors"
	"fmt"

	"github.com/IBM/sarama"

	"eshop/pkg/credential"
)

// settings are what the connections of one client of the package are made with.
type settings struct {
	*sarama.Config
	sasl *SASL // nil: none
}

// explain puts before an error which flag to look at, when a broker and this client do not accept each other.
func (s settings) explain(err error) error { return credential.Advise(s.advice(err), err) }

func (s settings) advice(err error) string {
	user := "this client, which gives no name (--kafka.sasl),"
	if s.sasl != nil {
		user = fmt.Sprintf("the user %s (--kafka.username)", s.sasl.User)
	}
	for _, refused := range []struct {
		by   error
		what string
	}{
		{sarama.ErrSASLAuthenticationFailed, "Kafka does not accept " + user + " with this password: look at --kafka.password-file and --kafka.sasl"},
		{errServerProof, "the Kafka broker cannot prove that it knows the password of " + user + ": look at --kafka.password-file and --kafka.brokers"},
		{sarama.ErrUnsupportedSASLMechanism, "Kafka does not offer this kind of login: look at --kafka.sasl"},
		{sarama.ErrIllegalSASLState, "Kafka wants a login: look at --kafka.sasl"},
		{sarama.ErrTopicAuthorizationFailed, "Kafka does not let " + user + " use the topic: it lacks an ACL"},
		{sarama.ErrGroupAuthorizationFailed, "Kafka does not let " + user + " join the group: it lacks an ACL"},
		{sarama.ErrClusterAuthorizationFailed, "Kafka does not let " + user + " do this to the cluster: it lacks an ACL"},
	} {
		if errors.Is(err, refused.by) {
			return refused.what
		}
	}
	return ""
}

// strange explains an error of a broker that has never answered: what hangs up then may want to be talked to otherwise.
func (s settings) strange(err error) error {
	advice := s.advice(err)
	if advice == "" {
		advice = credential.Client{Area: "kafka", Addrs: "brokers", Encrypted: s.Net.TLS.Enable}.Connection(err)
	}
	if s.sasl == nil && credential.HungUp(err) {
		advice = "the Kafka broker hung up: if it wants a login, give --kafka.sasl"
		if !s.Net.TLS.Enable {
			advice = "the Kafka broker hung up: if it speaks TLS at this port, give --kafka.tls; if it wants a login, give --kafka.sasl"
		}
	}
	return credential.Advise(advice, err)
}
