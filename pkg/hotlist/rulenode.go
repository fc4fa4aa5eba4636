package hotlist

import (
	"context"
	"errors"
	"fmt"

	"eshop/pkg/zookeeper"
)

// GetRule reads the stored rule; zookeeper.ErrNoNode when there is none.
func (c *Client) GetRule(ctx context.Context) (Rule, error) {
	ctx, cancel := limited(ctx)
	defer cancel()
	data, _, err := c.zk.Get(ctx, ruleNode)
	if err != nil {
		return Rule{}, fmt.Errorf("read the rule: %w", err)
	}
	rule, err := parseRule(data)
	if err != nil {
		return Rule{}, fmt.Errorf("read the rule %q: %w", excerpt(data), err)
	}
	return rule, nil
}

// PutRule stores a rule in place of the present one. A rule that is not valid is
// refused with every problem it has.
func (c *Client) PutRule(ctx context.Context, r Rule) error {
	data, err := encodeRule(r)
	if err == nil {
		ctx, cancel := limited(ctx)
		defer cancel()
		err = c.zk.Put(ctx, ruleNode, data)
	}
	if err != nil {
		return fmt.Errorf("store the rule: %w", err)
	}
	return nil
}

// InitRule stores a rule if there is none, readable or not. Of processes that do
// so at a time one wins, and none has an error.
func (c *Client) InitRule(ctx context.Context, r Rule) error {
	data, err := encodeRule(r)
	if err == nil {
		err = c.initRule(ctx, data)
	}
	if err != nil {
		return fmt.Errorf("store the first rule: %w", err)
	}
	return nil
}

func (c *Client) initRule(ctx context.Context, data []byte) error {
	ctx, cancel := limited(ctx)
	defer cancel()
	for {
		err := c.zk.Create(ctx, ruleNode, data)
		switch {
		case errors.Is(err, zookeeper.ErrNodeExists):
			return nil
		case errors.Is(err, zookeeper.ErrUnknownOutcome) && ctx.Err() == nil:
			continue // ours or another's: it exists then
		}
		return err
	}
}
