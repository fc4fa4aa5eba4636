package hotlist

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// View is what is hot, as one process sees it. It is shared and must not be
// changed.
type View struct {
	// Hot has the keys that are hot by the rule or pinned, and not banned.
	Hot map[int64]Key
	// Lists are the partitions' lists, by partition, pins and bans not applied;
	// Published and Watermark of each tell its age.
	Lists []Hot
	// Pins and Bans by id.
	Pins, Bans map[int64]Mark
	// Changed is when this process learned of it.
	Changed time.Time
}

// ReadView reads the present view.
func (c *Client) ReadView(ctx context.Context) (*View, error) {
	ctx, cancel := limited(ctx)
	defer cancel()
	var dirs [3]map[string][]byte
	for i, dir := range []string{hotDir, pinDir, banDir} {
		var err error
		if dirs[i], err = c.nodes(ctx, dir); err != nil {
			return nil, fmt.Errorf("read what is hot: %w", err)
		}
	}
	return newView(c.hot.read(dirs[0]), marks(&c.pins, dirs[1]), marks(&c.bans, dirs[2])), nil
}

// ReadTops reads the present top lists, by partition. They are shared and must
// not be changed.
func (c *Client) ReadTops(ctx context.Context) ([]Top, error) {
	ctx, cancel := limited(ctx)
	defer cancel()
	nodes, err := c.nodes(ctx, topDir)
	if err != nil {
		return nil, fmt.Errorf("read the top lists: %w", err)
	}
	return c.tops(nodes), nil
}

func (c *Client) tops(nodes map[string][]byte) []Top {
	tops := c.top.read(nodes)
	slices.SortFunc(tops, func(a, b Top) int { return cmp.Compare(a.Partition, b.Partition) })
	return tops
}

// newView combines lists, pins and bans. A ban beats a pin, a pin the rule. A key
// in two lists, which happens when the topic's partitions have become more, is
// taken from the one published last.
func newView(lists []Hot, pins, bans map[int64]Mark) *View {
	lists = slices.Clone(lists)
	v := &View{Hot: map[int64]Key{}, Lists: lists, Pins: pins, Bans: bans, Changed: time.Now()}
	slices.SortFunc(lists, func(a, b Hot) int {
		return cmp.Or(cmp.Compare(a.Published, b.Published), cmp.Compare(a.Generation, b.Generation))
	})
	for _, list := range lists {
		for _, k := range list.Keys {
			k.Reason = ReasonRule
			v.Hot[k.ID] = k
		}
	}
	slices.SortFunc(lists, func(a, b Hot) int { return cmp.Compare(a.Partition, b.Partition) })
	for id, mark := range pins {
		k, hot := v.Hot[id]
		if !hot {
			k = Key{ID: id, Since: mark.At}
		}
		k.Reason = ReasonPin
		v.Hot[id] = k
	}
	maps.DeleteFunc(v.Hot, func(id int64, _ Key) bool { _, banned := bans[id]; return banned })
	return v
}
