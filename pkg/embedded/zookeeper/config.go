package zookeeper

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Config says where the server listens and what it may hold. The zero value is a server on a free loopback port without a data directory.
type Config struct {
	Addr    string // host:port to listen on; default 127.0.0.1:0
	DataDir string // holds epoch and snapshot; empty: nothing outlives the process

	TickTime          time.Duration // resolution of session expiry; default 100 ms
	MinSessionTimeout time.Duration // shortest timeout granted; default 1 s
	MaxSessionTimeout time.Duration // longest timeout granted; default 60 s
	SnapshotInterval  time.Duration // between snapshots while there are changes; default 5 s
	ContainerInterval time.Duration // between looks for empty container nodes; default 1 min

	MaxConnections int   // open client connections; default 1024
	MaxSessions    int   // live sessions, connected or not; default 4096
	MaxWatches     int   // armed watches of one connection; default 65536
	MaxOutstanding int   // answers queued for one connection before its next request is read; default 256
	MaxFrame       int   // bytes of one request, the real server's jute.maxbuffer; default 1048575
	MaxNodes       int   // nodes in the tree; default 1 Mi
	MaxBytes       int64 // paths, data and overhead of all nodes; default 256 MiB
}

// Deps are what the server is given from outside; the zero value is usable.
type Deps struct {
	Log *slog.Logger // nil: nothing is logged
}

// nodeOverhead is charged for each node on top of its path and data: struct, map entries and ACL, measured at about 400 bytes.
const nodeOverhead = 400

func (c Config) withDefaults() Config {
	text := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	span := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	count := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	text(&c.Addr, "127.0.0.1:0")
	span(&c.TickTime, 100*time.Millisecond)
	span(&c.MinSessionTimeout, time.Second)
	span(&c.MaxSessionTimeout, max(time.Minute, c.MinSessionTimeout))
	span(&c.SnapshotInterval, 5*time.Second)
	span(&c.ContainerInterval, time.Minute)
	count(&c.MaxConnections, 1024)
	count(&c.MaxSessions, 4096)
	count(&c.MaxWatches, 65536)
	count(&c.MaxOutstanding, 256)
	count(&c.MaxFrame, 1048575)
	count(&c.MaxNodes, 1<<20)
	if c.MaxBytes == 0 {
		c.MaxBytes = 256 << 20
	}
	return c
}

// check reports every wrong setting at once; it is called after withDefaults.
func (c Config) check() error {
	var problems []error
	positive := func(name string, ok bool) {
		if !ok {
			problems = append(problems, fmt.Errorf("%s must be above zero", name))
		}
	}
	positive("TickTime", c.TickTime > 0)
	positive("MinSessionTimeout", c.MinSessionTimeout > 0)
	positive("SnapshotInterval", c.SnapshotInterval > 0)
	positive("ContainerInterval", c.ContainerInterval > 0)
	positive("MaxConnections", c.MaxConnections > 0)
	positive("MaxSessions", c.MaxSessions > 0)
	positive("MaxWatches", c.MaxWatches > 0)
	positive("MaxOutstanding", c.MaxOutstanding > 0)
	positive("MaxNodes", c.MaxNodes > 0)
	positive("MaxBytes", c.MaxBytes > 0)
	if c.MaxFrame < minFrame {
		problems = append(problems, fmt.Errorf("MaxFrame is %d, at least %d bytes are needed", c.MaxFrame, minFrame))
	}
	if c.MaxSessionTimeout < c.MinSessionTimeout {
		problems = append(problems, fmt.Errorf("MaxSessionTimeout %v is below MinSessionTimeout %v", c.MaxSessionTimeout, c.MinSessionTimeout))
	}
	return errors.Join(problems...)
}
