package hotlist

import (
	"context"
	"fmt"
)

// TrimPartitions deletes the lists of partitions from the given number on, which
// the topic does not have (any more). What is no partition's node is left alone.
func (c *Client) TrimPartitions(ctx context.Context, partitions int) error {
	if partitions < 1 {
		return fmt.Errorf("trim the lists to %d partitions: a topic has at least 1", partitions)
	}
	ctx, cancel := limited(ctx)
	defer cancel()
	for _, dir := range []string{hotDir, topDir} {
		names, err := c.children(ctx, dir)
		for _, name := range names {
			if n, ok := parsePartition(name); ok && int(n) >= partitions && err == nil {
				err = c.zk.Delete(ctx, dir+"/"+name, -1)
			}
		}
		if err != nil {
			return fmt.Errorf("trim the lists to %d partitions: %w", partitions, err)
		}
	}
	return nil
}
