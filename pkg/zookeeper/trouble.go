package zookeeper

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"eshop/pkg/credential"
)

// troublePause is the shortest time between two log lines of the same trouble: during an outage there is an attempt to
// connect a second, and each fails.
const troublePause = time.Minute

// trouble is why there is no connection, and the word of it in the log: one line once every server has been tried in
// vain, and one for each further minute.
type trouble struct {
	log   *slog.Logger
	round int // number of servers

	mu     sync.Mutex
	err    error
	failed int // attempts since a server last answered
	logged time.Time
}

// note takes an attempt's outcome, nil for a server that answered.
func (t *trouble) note(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = err
	if err == nil {
		t.failed, t.logged = 0, time.Time{}
		return
	}
	t.failed++
	if now := time.Now(); t.failed >= t.round && now.Sub(t.logged) > troublePause {
		t.logged = now
		t.log.Warn("ZooKeeper cannot be reached and is tried again and again", "error", err)
	}
}

func (t *trouble) last() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// explain puts before the servers' refusal which flag to look at.
func explain(err error) error {
	if !errors.Is(err, zk.ErrNoAuth) && !errors.Is(err, zk.ErrAuthFailed) {
		return err
	}
	return credential.Advise("ZooKeeper does not let this client use a node: look at --zookeeper.auth-file, and at who owns the node", err)
}

// complaints is the log of what the servers refuse: a loop that goes on trying writes one line a minute for each path.
type complaints struct {
	mu     sync.Mutex
	logged map[string]time.Time
}

// maxComplaints bounds the paths; with more of them all may complain again.
const maxComplaints = 1024

// due reports whether a line about the path may be written now, and notes that it is.
func (c *complaints) due(path string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if last, ok := c.logged[path]; ok && now.Sub(last) < troublePause {
		return false
	}
	if c.logged == nil || len(c.logged) >= maxComplaints {
		c.logged = make(map[string]time.Time)
	}
	c.logged[path] = now
	return true
}

// complain logs what a loop that goes on trying was refused.
func (s *Session) complain(what, path string, err error) {
	if s.complaints.due(path) {
		s.log.Error(what, "path", path, "error", err)
	}
}
