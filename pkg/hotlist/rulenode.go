package hotlist

import (
	"context"
	"errors"
	"fmt"

	"eshop/pkg/zookeeper"
)

// GetRule reads the stored rule; zookeeper.ErrNoNode when there is none.
func (c *Client) GetRule(ctx context.Context) (Rule, error) {
	rule, _, err := c.ruleVersion(ctx)
	return rule, err
}

func (c *Client) ruleVersion(ctx context.Context) (Rule, int32, error) {
	ctx, cancel := limited(ctx)
	defer cancel()
	data, version, err := c.zk.Get(ctx, ruleNode)
	if err != nil {
		return Rule{}, 0, fmt.Errorf("read the rule: %w", err)
	}
	rule, err := parseRule(data)
	if err != nil {
		return Rule{}, version, fmt.Errorf("read the rule %q: %w: %w", excerpt(data), errBadRule, err)
	}
	return rule, version, nil
}

// ChangeRule lets change alter the stored rule and stores the outcome, which it
// returns. When somebody else stores one in between, change is called again with
// that: of changes made at the same time none is lost. An error of change is
// returned as it is, and nothing is stored then. Where there is no readable rule,
// change is given otherwise.
func (c *Client) ChangeRule(ctx context.Context, otherwise Rule, change func(*Rule) error) (Rule, error) {
	for {
		rule, version, err := c.ruleVersion(ctx)
		missing := errors.Is(err, zookeeper.ErrNoNode)
		switch {
		case err == nil:
		case missing, errors.Is(err, errBadRule):
			rule = otherwise
		default:
			return Rule{}, err
		}
		if err := change(&rule); err != nil {
			return Rule{}, err
		}
		data, err := encodeRule(rule)
		if err == nil {
			err = c.setRule(ctx, data, version, missing)
		}
		switch {
		case err == nil:
			return rule, nil
		case ctx.Err() == nil && (errors.Is(err, zookeeper.ErrBadVersion) || errors.Is(err, zookeeper.ErrNoNode) ||
			errors.Is(err, zookeeper.ErrNodeExists) || errors.Is(err, zookeeper.ErrUnknownOutcome)):
			continue // the same change made twice is the change
		}
		return Rule{}, fmt.Errorf("store the rule: %w", err)
	}
}

func (c *Client) setRule(ctx context.Context, data []byte, version int32, missing bool) error {
	ctx, cancel := limited(ctx)
	defer cancel()
	if missing {
		return c.zk.Create(ctx, ruleNode, data)
	}
	_, err := c.zk.Set(ctx, ruleNode, data, version)
	return err
}

// errBadRule marks a stored rule that cannot be used.
var errBadRule = errors.New("the stored rule cannot be used")

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
