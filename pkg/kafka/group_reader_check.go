package kafka

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// checkEvery is the time between two questions for the ends of the partitions.
const checkEvery = time.Second

// tailAfter is for how long the brokers must say that there is more, and give
// nothing, before what is left is taken to be no records: the ends of transactions
// are not handed over. The questions go over the connection of the fetches, which
// is answered in order, so no answer with records is older than three of them.
const tailAfter = 3 * checkEvery

// check asks for the ends of the held partitions until ctx, the assignment's,
// ends. Every broker is asked by itself, one question at a time: one that is
// silent keeps its own partitions unconfirmed for as long as it is, not the others'.
func (g *GroupReader) check(ctx context.Context, client sarama.Client) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	var mu sync.Mutex
	asking := make(map[int32]bool)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		g.mu.Lock()
		claims := g.held()
		g.mu.Unlock()
		leaders, parts := make(map[int32]*sarama.Broker), make(map[int32][]*Assigned)
		for _, p := range claims {
			if b, err := client.Leader(g.topic, p.partition); err == nil { // from memory, unless there was none
				leaders[b.ID()] = b
				parts[b.ID()] = append(parts[b.ID()], p)
			}
		}
		for id, b := range leaders {
			mu.Lock()
			busy := asking[id]
			asking[id] = true
			mu.Unlock()
			if busy {
				continue
			}
			g.lookups.Go(func() { // the read time-out bounds it, and the end of the membership
				if err := g.ask(b, parts[id]); err != nil && ctx.Err() == nil {
					g.fault(fmt.Errorf("ask broker %d for the ends of topic %s: %w", id, g.topic, err))
				}
				mu.Lock()
				delete(asking, id)
				mu.Unlock()
			})
		}
	}
}

// ask confirms the ends of partitions that one broker leads.
func (g *GroupReader) ask(b *sarama.Broker, parts []*Assigned) error {
	req := sarama.NewOffsetRequest(g.conf.Version)
	for _, p := range parts {
		req.AddBlock(g.topic, p.partition, sarama.OffsetNewest, 1)
	}
	at := time.Now()
	resp, err := b.GetAvailableOffsets(req)
	if err != nil {
		_ = b.Close() // as the client library does: what comes after it would be out of step
		return err
	}
	for _, p := range parts {
		if block := resp.GetBlock(g.topic, p.partition); block != nil && block.Err == sarama.ErrNoError && len(block.Offsets) == 1 {
			p.confirm(block.Offsets[0], at)
		}
	}
	return nil
}

// confirmed is what the brokers have said of a partition's end.
type confirmed struct {
	end int64
	at  time.Time // when they were asked
	// next is where reading stood, and since when nothing has changed and nothing
	// was there to be read.
	next  int64
	since time.Time
}

// confirm notes an answer.
func (p *Assigned) confirm(end int64, at time.Time) {
	c := &confirmed{end: end, at: at, next: p.next.Load(), since: at}
	if last := p.checked.Load(); last != nil && last.end == end && last.next == c.next && len(p.messages) == 0 {
		c.since = last.since
	}
	p.checked.Store(c)
}

// Checked returns the newest end that the brokers have confirmed, and the time
// when they were asked: what was written before lies below it. They are asked
// once a second, so a time that stands still says that they do not answer. What
// is said at End about records that are never handed over holds for it too.
func (p *Assigned) Checked() (end int64, at time.Time) {
	c := p.checked.Load()
	return p.visible(c.end), c.at
}

// visible is end, or where reading stands if there are no records in between.
func (p *Assigned) visible(end int64) int64 {
	c, next := p.checked.Load(), p.next.Load()
	if next < end && end <= c.end && next == c.next && c.at.Sub(c.since) >= tailAfter && len(p.messages) == 0 {
		return next
	}
	return end
}
