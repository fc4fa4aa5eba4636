package kafka

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
)

// Config says how to reach the brokers. It is shared by every client of the package.
type Config struct {
	Brokers  []string    // host:port of some brokers; the others are learnt from them
	ClientID string      // name shown in broker logs and used as the metrics label; default "eshop"
	TLS      *tls.Config // nil means plain TCP
	SASL     *SASL       // nil means no authentication
}

// SASL holds the credentials of one user.
type SASL struct {
	Mechanism string // PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
	User      string
	// Password tells the password; it is asked for each new connection, so that
	// one that was changed needs no restart.
	Password func() string
}

// Deps are the collaborators of every client. Both may be nil: nothing is logged, nothing is registered.
type Deps struct {
	Log      *slog.Logger
	Registry prometheus.Registerer
}

// Record is one Kafka record. As input to a producer Partition is read only
// with ManualPartition, Offset is ignored, and a zero Time means now. Key and
// Value belong to the producer once handed over: they must not be changed.
type Record struct {
	Topic      string
	Partition  int32
	Offset     int64
	Key, Value []byte
	Time       time.Time
	Headers    []Header // nil for most
}

// Timeouts of one connection. A paused broker is given up after readTimeout;
// the group consumer needs a longer one because a join waits for its peers.
const (
	dialTimeout      = 2 * time.Second
	readTimeout      = 5 * time.Second
	groupReadTimeout = 15 * time.Second
	layoutInterval   = 25 * time.Millisecond // at least this between two questions for the layout
	metadataInterval = 10 * time.Second      // periodic refresh, so that a moved cluster is found without an error (13)
)

func (d Deps) logger() *slog.Logger {
	if d.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return d.Log
}

func (c Config) clientID() string {
	if c.ClientID == "" {
		return "eshop"
	}
	return c.ClientID
}

// validate lists every problem at once.
func (c Config) validate() error {
	var problems []error
	if len(c.Brokers) == 0 {
		problems = append(problems, errors.New("kafka brokers: none given"))
	}
	for _, b := range c.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			problems = append(problems, fmt.Errorf("kafka broker %q: want host:port: %w", b, err))
		}
	}
	if c.SASL != nil {
		switch strings.ToUpper(c.SASL.Mechanism) {
		case sarama.SASLTypePlaintext, sarama.SASLTypeSCRAMSHA256, sarama.SASLTypeSCRAMSHA512:
		default:
			problems = append(problems, fmt.Errorf("kafka SASL mechanism %q: want PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", c.SASL.Mechanism))
		}
		if c.SASL.User == "" {
			problems = append(problems, errors.New("kafka SASL user: empty"))
		}
		if c.SASL.Password == nil {
			problems = append(problems, errors.New("kafka SASL password: none given"))
		}
	}
	return errors.Join(problems...)
}

// sarama gives the settings every connection of the package starts from.
func (c Config) sarama() (settings, error) {
	if err := c.validate(); err != nil {
		return settings{}, err
	}
	s := sarama.NewConfig()
	s.ClientID = c.clientID()
	s.Version = sarama.V2_8_0_0
	s.Net.DialTimeout = dialTimeout
	s.Net.ReadTimeout = readTimeout
	s.Net.WriteTimeout = readTimeout
	s.Metadata.RefreshFrequency = metadataInterval
	s.Metadata.Retry.Max = 2
	s.Metadata.Retry.Backoff = 100 * time.Millisecond
	s.Metadata.AllowAutoTopicCreation = false
	if c.TLS != nil {
		s.Net.TLS.Enable = true
		s.Net.TLS.Config = c.TLS
	}
	if c.SASL != nil {
		s.Net.SASL.Enable = true
		s.Net.SASL.User = c.SASL.User
		s.Net.SASL.Password = c.SASL.Password()
		s.Net.SASL.Mechanism = sarama.SASLMechanism(strings.ToUpper(c.SASL.Mechanism))
		if gen := scramGenerator(string(s.Net.SASL.Mechanism), c.SASL.Password); gen != nil {
			s.Net.SASL.SCRAMClientGeneratorFunc = gen
		}
	}
	if err := s.Validate(); err != nil {
		return settings{}, fmt.Errorf("kafka client settings: %w", err)
	}
	return settings{s, c.SASL}, nil
}
