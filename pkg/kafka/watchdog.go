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
func (g *Group) watch(ctx context.Context, restart context.CancelCauseFunc) {
	tick := time.NewTicker(max(g.cfg.StallTimeout/6, 10*time.Millisecond))
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
			if client, err = sarama.NewClient(g.cfg.Brokers, bind(ctx, g.conf)); err == nil {
				admin, err = sarama.NewClusterAdminFromClient(client)
			}
			if err != nil {
				if client != nil {
					_ = client.Close()
				}
				admin, client = nil, nil
				g.mu.Lock()
				g.stalls.forget()
				g.mu.Unlock()
				continue
			}
		}
		seen, err := g.observe(ctx, client, admin)
		g.mu.Lock()
		var cause error
		if err != nil {
			g.stalls.forget()
		} else {
			cause = g.stalls.judge(time.Now(), seen, g.cfg.StallTimeout)
		}
		if cause != nil {
			g.state.restarts++
		}
		g.mu.Unlock()
		if err != nil {
			closeAll()
		}
		if cause != nil {
			g.metrics.restarts.Inc()
			g.log.Error("kafka group member makes no progress and is started anew", "group", g.cfg.Group, "cause", cause)
			restart(cause)
			return
		}
	}
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

func (g *Group) observe(ctx context.Context, client sarama.Client, admin sarama.ClusterAdmin) (observation, error) {
	g.mu.Lock()
	var claims []*claim
	o := observation{joined: g.session != nil, claims: make(map[int32]claimObservation)}
	if g.session != nil {
		for _, c := range g.session.claims {
			claims = append(claims, c)
		}
	}
	g.mu.Unlock()
	if !o.joined {
		_, err := g.dir.fetch(ctx, false, g.cfg.Topic)
		return o, err
	}
	var ids []int32
	for _, c := range claims {
		c.mu.Lock()
		co := claimObservation{next: c.next, blocked: c.blocked, marked: c.marked, committed: -1}
		c.mu.Unlock()
		var err error
		if co.end, err = client.GetOffset(g.cfg.Topic, c.partition, sarama.OffsetNewest); err != nil {
			return o, err
		}
		if co.next < 0 {
			if co.next, err = client.GetOffset(g.cfg.Topic, c.partition, sarama.OffsetOldest); err != nil {
				return o, err
			}
		}
		o.claims[c.partition] = co
		ids = append(ids, c.partition)
	}
	if len(ids) == 0 {
		return o, nil
	}
	resp, err := admin.ListConsumerGroupOffsets(g.cfg.Group, map[string][]int32{g.cfg.Topic: ids})
	if err != nil {
		return o, err
	}
	if resp.Err != sarama.ErrNoError {
		return o, resp.Err
	}
	for _, id := range ids {
		b := resp.GetBlock(g.cfg.Topic, id)
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
