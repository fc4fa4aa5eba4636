package hotcount

import (
	"context"
	"time"

	"eshop/pkg/hotlist"
)

// followRule stores the initial rule if there is none, and follows the one that
// is stored. Until ZooKeeper tells of one the initial rule is used.
func (r *Role) followRule(ctx context.Context) error {
	for {
		if r.zk.Connected(ctx) != nil {
			return nil
		}
		err := r.lists.InitRule(ctx, r.cfg.Rule)
		if err == nil {
			break
		}
		r.log.Info("the initial rule could not be stored and is tried again", "err", err)
		if !pause(ctx, time.Second) {
			return nil
		}
	}
	r.lists.WatchRule(ctx, r.setRule)
	return nil
}

// setRule puts a rule into force. Windows of another length are made anew from
// the log: the partitions are given up and taken again.
func (r *Role) setRule(rule hotlist.Rule) {
	old := r.shared.rule.Swap(&rule)
	if *old == rule {
		return
	}
	r.log.Info("the rule has changed", "rule", rule, "was", *old)
	if old.Window != rule.Window {
		r.rejoin()
	}
}

// followLists follows what is hot, pinned and banned.
func (r *Role) followLists(ctx context.Context) error {
	r.lists.Watch(ctx, r.shared.view.Store)
	return nil
}

// followTops follows the rankings of all partitions.
func (r *Role) followTops(ctx context.Context) error {
	r.lists.WatchTop(ctx, func(tops []hotlist.Top) { r.tops.Store(&tops) })
	return nil
}

// publisher makes the publisher of one partition.
func (r *Role) publisher(partition int32, partitions int) *publisher {
	return &publisher{
		log: r.log.With("partition", partition), metrics: r.shared.metrics, delays: r.shared.delays,
		connected: r.zk.Connected, mail: make(chan struct{}, 1),
		claim: func(ctx context.Context) (claimed, error) {
			out, former, err := r.lists.Claim(ctx, partition, r.cfg.ID)
			if err != nil {
				return claimed{}, err
			}
			if partition == 0 {
				// What is left behind by a topic that had more partitions once is harmless
				// but for the memory of its readers, so a failure is no reason to stop.
				if err := r.lists.TrimPartitions(ctx, partitions); err != nil {
					r.log.Warn("lists of partitions that are no more could not be removed", "err", err)
				}
			}
			return claimed{lists: out, generation: out.Generation(), former: former}, nil
		},
	}
}
