package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/IBM/sarama"
)

// partitionView is what the cluster says about one partition; leader is -1 while there is none.
type partitionView struct {
	id     int32
	leader int32
}

// topicView is what the cluster says about one topic; partitions are in id order from 0.
type topicView struct {
	err        error
	id         sarama.Uuid
	partitions []partitionView
}

// clusterView is one metadata answer.
type clusterView struct {
	brokers map[int32]string // id to host:port
	topics  map[string]topicView
}

// directory asks the cluster for its layout. It keeps one connection, moves on
// to another broker when that one fails, and falls back to the configured
// addresses when all the learnt ones are gone (13).
type directory struct {
	conf  settings
	seeds []string

	mu    sync.Mutex // held over a request: metadata requests are serial
	conn  *sarama.Broker
	known []string
}

func newDirectory(conf settings, seeds []string) *directory {
	return &directory{conf: conf, seeds: seeds}
}

// fetch asks for the given topics, or for all when there are none. create lets
// the broker create an unknown topic, if it is configured to.
func (d *directory) fetch(ctx context.Context, create bool, topics ...string) (*clusterView, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var problems []error
	if d.conn != nil {
		view, err := d.ask(create, topics)
		if err == nil {
			return view, nil
		}
		problems = append(problems, err)
	}
	candidates := slices.Clone(d.known)
	for _, s := range d.seeds {
		if !slices.Contains(candidates, s) {
			candidates = append(candidates, s)
		}
	}
	for _, addr := range candidates {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		conn, err := connect(ctx, d.conf, addr)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		d.conn = conn
		view, err := d.ask(create, topics)
		if err == nil {
			return view, nil
		}
		if len(d.known) == 0 {
			err = d.conf.strange(err)
		}
		problems = append(problems, err)
	}
	return nil, errors.Join(problems...)
}

// ask uses the open connection and drops it on an error. Caller holds mu.
func (d *directory) ask(create bool, topics []string) (*clusterView, error) {
	req := sarama.NewMetadataRequest(d.conf.Version, topics)
	req.AllowAutoTopicCreation = create
	resp, err := d.conn.GetMetadata(req)
	if err == nil && len(resp.Brokers) == 0 {
		err = errors.New("the answer names no broker")
	}
	if err != nil {
		err = fmt.Errorf("ask kafka broker %s for metadata: %w", d.conn.Addr(), err)
		_ = d.conn.Close()
		d.conn = nil
		return nil, err
	}
	view := &clusterView{brokers: make(map[int32]string, len(resp.Brokers)), topics: make(map[string]topicView, len(resp.Topics))}
	d.known = d.known[:0]
	for _, b := range resp.Brokers {
		view.brokers[b.ID()] = b.Addr()
		d.known = append(d.known, b.Addr())
	}
	for _, t := range resp.Topics {
		tv := topicView{id: t.Uuid}
		if t.Err != sarama.ErrNoError {
			tv.err = t.Err
		}
		for _, p := range t.Partitions {
			leader := p.Leader
			if _, up := view.brokers[leader]; !up {
				leader = -1
			}
			tv.partitions = append(tv.partitions, partitionView{id: p.ID, leader: leader})
		}
		slices.SortFunc(tv.partitions, func(a, b partitionView) int { return int(a.id) - int(b.id) })
		view.topics[t.Name] = tv
	}
	return view, nil
}

func (d *directory) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn != nil {
		_ = d.conn.Close()
		d.conn = nil
	}
}

// Ping asks any broker for the cluster's layout. It returns nil when one
// answered, else what was wrong with each. It opens and closes its own
// connection, so it is meant for readiness checks, not for hot paths.
func Ping(ctx context.Context, cfg Config) error {
	conf, err := cfg.sarama()
	if err != nil {
		return err
	}
	d := newDirectory(conf, cfg.Brokers)
	defer d.close()
	_, err = d.fetch(ctx, false)
	return err
}
