package hotlist

import "context"

// newest hands the newest of the values that one goroutine puts to another: a
// value nobody has taken yet is replaced.
type newest[T any] chan T

func newNewest[T any]() newest[T] { return make(newest[T], 1) }

func (n newest[T]) put(v T) {
	select {
	case <-n:
	default:
	}
	n <- v // there is room: nobody else puts
}

// poll takes a value if there is one.
func (n newest[T]) poll(fn func(T)) {
	select {
	case v := <-n:
		fn(v)
	default:
	}
}

// Watch calls fn with the view at first and after each change, until ctx ends;
// then it returns. fn is called from the goroutine that called Watch. Changes in
// quick succession may be seen as one, the last one is always seen. While
// ZooKeeper is away fn is not called: the view it was told last stands.
func (c *Client) Watch(ctx context.Context, fn func(*View)) {
	hot, pin, ban := newNewest[map[string][]byte](), newNewest[map[string][]byte](), newNewest[map[string][]byte]()
	c.zk.WatchChildren(ctx, hotDir, hot.put)
	c.zk.WatchChildren(ctx, pinDir, pin.put)
	c.zk.WatchChildren(ctx, banDir, ban.put)
	var (
		lists            []Hot
		pins, bans       map[int64]Mark
		anyH, anyP, anyB bool
	)
	onHot := func(nodes map[string][]byte) { lists, anyH = c.hot.read(nodes), true }
	onPin := func(nodes map[string][]byte) { pins, anyP = marks(&c.pins, nodes), true }
	onBan := func(nodes map[string][]byte) { bans, anyB = marks(&c.bans, nodes), true }
	for {
		select {
		case nodes := <-hot:
			onHot(nodes)
		case nodes := <-pin:
			onPin(nodes)
		case nodes := <-ban:
			onBan(nodes)
		case <-ctx.Done():
			return
		}
		hot.poll(onHot)
		pin.poll(onPin)
		ban.poll(onBan)
		if ctx.Err() != nil {
			return
		}
		// Without one of the three the view would be wrong: a ban that is not
		// known yet would let a banned key be hot.
		if anyH && anyP && anyB {
			fn(newView(lists, pins, bans))
		}
	}
}

// WatchTop calls fn with the top lists, by partition, at first and after each
// change, as Watch does. The lists are shared and must not be changed.
func (c *Client) WatchTop(ctx context.Context, fn func([]Top)) {
	top := newNewest[map[string][]byte]()
	c.zk.WatchChildren(ctx, topDir, top.put)
	for {
		select {
		case nodes := <-top:
			if ctx.Err() != nil {
				return
			}
			fn(c.tops(nodes))
		case <-ctx.Done():
			return
		}
	}
}

// WatchRule calls fn with the rule at first, if there is one, and after each
// change, as Watch does. A rule that is not valid is named in the log and not
// told, and one that is deleted stays in force: the last valid one stands.
func (c *Client) WatchRule(ctx context.Context, fn func(Rule)) {
	type node struct {
		data   []byte
		exists bool
	}
	told := false
	changes := newNewest[node]()
	c.zk.WatchNode(ctx, ruleNode, func(data []byte, exists bool, _ int32) { changes.put(node{data, exists}) })
	for {
		select {
		case now := <-changes:
			rule, err := parseRule(now.data)
			switch {
			case ctx.Err() != nil:
				return
			case !now.exists && !told: // there was none yet
			case !now.exists:
				c.log.Warn("there is no rule, the last one stays in force", "node", ruleNode)
			case err != nil:
				c.log.Warn("the rule is not valid, the last one stays in force", "node", ruleNode, "error", err, "data", excerpt(now.data))
			default:
				told = true
				fn(rule)
			}
		case <-ctx.Done():
			return
		}
	}
}
