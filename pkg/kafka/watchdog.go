package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// watch compares what this member does with what the brokers say, over
// connections of its own, and ends the membership when they disagree for
// StallTimeout: a consumer library can lose its subscription in silence, or go
// on reading as a member that may not commit any more (25). While the brokers
// do not answer nothing is judged: that is an outage, not a stall.
func (m *membership[C]) watch(ctx context.Context, restart context.CancelCauseFunc) {
	tick := time.NewTicker(max(m.stall/6, 10*time.Millisecond))
	defer tick.Stop()
	var admin sarama.ClusterAdmin
	var client sarama.Client
	closeAll := func() {
		if admin != nil {
			_ = admin.Close() // closes the client too
			admin, client = nil, nil
		}
	}
	defer closeAll()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if admin == nil {
			var err error
			if client, admin, err = m.observer(ctx); err != nil {
				m.mu.Lock()
				m.stalls.forget()
				m.mu.Unlock()
				continue
			}
		}
		seen, err := m.observe(ctx, client, admin)
		m.mu.Lock()
		var cause error
		if err != nil {
			m.stalls.forget()
		} else {
			cause = m.stalls.judge(time.Now(), seen, m.stall)
		}
		if cause != nil {
			m.restarts++
		}
		m.mu.Unlock()
		if err != nil {
			closeAll()
		}
		if cause != nil {
			m.metrics.restarts.Inc()
			m.log.Error("kafka group member makes no progress and is started anew", "group", m.group, "cause", cause)
			restart(cause)
			return
		}
	}
}

// observer opens the watchdog's own connections.
func (m *membership[C]) observer(ctx context.Context) (sarama.Client, sarama.ClusterAdmin, error) {
	plain, err := sarama.NewClient(m.brokers, bind(ctx, m.conf))
	if err != nil {
		return nil, nil, err
	}
	client := leaderless{plain}
	// A client that is not told to know all topics has to ask for one before it knows the controller.
	err = client.RefreshMetadata(m.topic)
	if err == nil {
		var admin sarama.ClusterAdmin
		if admin, err = sarama.NewClusterAdminFromClient(client); err == nil {
			return client, admin, nil
		}
	}
	_ = client.Close()
	return nil, nil, err
}

// observation is the state of one member at one time.
type observation struct {
	joined bool
	claims map[int32]claimObservation
}

// claimObservation is one partition: what we did, and what the brokers say.
type claimObservation struct {
	next      int64 // the next offset we would read
	blocked   bool  // we wait for room, so we do not want to read
	end       int64 // the brokers' end of the log
	marked    int64 // handed over for commit; -1 nothing
	committed int64 // what the brokers have; -1 nothing
}

func (m *membership[C]) observe(ctx context.Context, client sarama.Client, admin sarama.ClusterAdmin) (observation, error) {
	m.mu.Lock()
	o := observation{joined: m.session != nil, claims: make(map[int32]claimObservation)}
	claims := m.held()
	m.mu.Unlock()
	if !o.joined {
		_, err := m.dir.fetch(ctx, false, m.topic)
		return o, err
	}
	var ids []int32
	for _, c := range claims {
		id, co := c.id(), c.progress()
		co.committed = -1
		var err error
		if co.end, err = client.GetOffset(m.topic, id, sarama.OffsetNewest); err != nil {
			return o, err
		}
		if co.next < 0 {
			if co.next, err = client.GetOffset(m.topic, id, sarama.OffsetOldest); err != nil {
				return o, err
			}
		}
		o.claims[id] = co
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return o, nil
	}
	resp, err := admin.ListConsumerGroupOffsets(m.group, map[string][]int32{m.topic: ids})
	if err != nil {
		return o, err
	}
	if resp.Err != sarama.ErrNoError {
		return o, resp.Err
	}
	for _, id := range ids {
		b := resp.GetBlock(m.topic, id)
		if b == nil || b.Err != sarama.ErrNoError {
			return o, errors.New("the coordinator does not know the partition")
		}
		co := o.claims[id]
		co.committed = b.Offset
		o.claims[id] = co
	}
	return o, nil
}

// stalls remembers since when things do not move. A restart that did not help
// is not repeated for the same offsets: the last records of a log can be
// invisible ones, as the ends of transactions are.
type stalls struct {
	outside time.Time // without an assignment since
	silent  map[int32]stall
	zombie  map[int32]stall
	useless map[int32]int64 // partition to the offset a restart did not move
}

type stall struct {
	at    int64 // next offset, or the mark that is not committed
	since time.Time
}

func (s *stalls) forget() {
	s.outside = time.Time{}
	s.silent, s.zombie = nil, nil
}

// judge takes the newest observation and returns why the membership has to end, or nil.
func (s *stalls) judge(now time.Time, o observation, limit time.Duration) error {
	if !o.joined {
		s.silent, s.zombie = nil, nil
		if s.outside.IsZero() {
			s.outside = now
		}
		if since := now.Sub(s.outside); since >= max(limit, 30*time.Second) {
			s.outside = time.Time{}
			return fmt.Errorf("no assignment for %v although the brokers answer", since.Round(time.Second))
		}
		return nil
	}
	s.outside = time.Time{}
	silent, zombie := make(map[int32]stall), make(map[int32]stall)
	var cause error
	for id, c := range o.claims {
		if c.next < c.end && !c.blocked {
			st, was := s.silent[id]
			if !was || st.at != c.next {
				st = stall{at: c.next, since: now}
			}
			silent[id] = st
			if tried, ok := s.useless[id]; now.Sub(st.since) >= limit && !(ok && tried == c.next) {
				if s.useless == nil {
					s.useless = make(map[int32]int64)
				}
				s.useless[id] = c.next
				cause = fmt.Errorf("partition %d: nothing read at offset %d for %v, the log ends at %d", id, c.next, now.Sub(st.since).Round(time.Second), c.end)
			}
		}
		if st, was := s.zombie[id]; was && c.committed < st.at {
			zombie[id] = st
			if now.Sub(st.since) >= limit {
				cause = fmt.Errorf("partition %d: offset %d is applied but not committed for %v, the group is at %d", id, st.at, now.Sub(st.since).Round(time.Second), c.committed)
			}
		} else if c.marked > c.committed {
			zombie[id] = stall{at: c.marked, since: now}
		}
	}
	s.silent, s.zombie = silent, zombie
	if cause != nil {
		s.forget()
	}
	return cause
}
