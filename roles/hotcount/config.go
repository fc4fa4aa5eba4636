package hotcount

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/admin"
	"eshop/pkg/hotlist"
	"eshop/pkg/kafka"
	"eshop/pkg/lifecycle"
	"eshop/pkg/zookeeper"
)

// Config of the hotcount role. Zero values mean the defaults given.
type Config struct {
	// ID of this process in the fleet, unique among the hotcount processes.
	ID string

	Kafka     kafka.Config
	ZooKeeper zookeeper.Config

	// TopicAccess is the access log ("access-log"), Group the consumer group
	// whose members share its partitions ("eshop-hotcount").
	TopicAccess, Group string
	// Rule is stored in ZooKeeper if there is none yet, and used until the one
	// that is stored there is known (hotlist.DefaultRule).
	Rule hotlist.Rule
	// Memory for the windows of all partitions of the topic together (64 MiB).
	// A window gets the same share of it whoever holds the partition, so that a
	// process that is left alone with all of them stays within it; but never less
	// than 1 MiB.
	Memory int64
	// SessionTimeout is how long the others wait for a silent process before
	// they take over its partitions (10 s).
	SessionTimeout time.Duration
}

func (c *Config) complete() error {
	c.TopicAccess = cmp.Or(c.TopicAccess, "access-log")
	c.Group = cmp.Or(c.Group, "eshop-hotcount")
	c.Rule = cmp.Or(c.Rule, hotlist.DefaultRule())
	c.Memory = cmp.Or(c.Memory, 64<<20)
	c.SessionTimeout = cmp.Or(c.SessionTimeout, 10*time.Second)
	var bad []error
	if c.ID == "" {
		bad = append(bad, errors.New("the hotcount role needs an id (--hotcount.id)"))
	} else if len(c.ID) > hotlist.MaxHolder {
		bad = append(bad, fmt.Errorf("--hotcount.id has %d bytes, above the %d that the lists have room for", len(c.ID), hotlist.MaxHolder))
	}
	if err := c.Rule.Validate(); err != nil {
		bad = append(bad, fmt.Errorf("the initial rule of --hotcount.window, --hotcount.floor, --hotcount.factor, --hotcount.hold and --hotcount.top: %w", err))
	}
	if c.Memory < minMemory {
		bad = append(bad, fmt.Errorf("--hotcount.memory %d is below 8 MiB", c.Memory))
	}
	if c.SessionTimeout <= 0 {
		bad = append(bad, fmt.Errorf("the session timeout %v of the group %s must be above zero", c.SessionTimeout, c.Group))
	}
	return errors.Join(bad...)
}

const minMemory = 8 << 20

// Deps are the role's collaborators.
type Deps struct {
	Log      *slog.Logger
	Registry prometheus.Registerer
	Ready    *lifecycle.Ready
	// Admin gets the role's part of the admin API; nil: none.
	Admin *admin.Server
}
