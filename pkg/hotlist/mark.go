package hotlist

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"eshop/pkg/catalog"
)

// Limits of pins and bans.
const (
	// MaxMarks is how many pins there may be, and how many bans.
	MaxMarks = 1000
	// MaxBy is the length in bytes of the name of whoever pins or bans.
	MaxBy = 256
)

// ErrFull is wrapped by the error of a pin or ban above MaxMarks.
var ErrFull = errors.New("there are too many")

// Mark is a pin or a ban, data of the nodes pin/<id> and ban/<id>.
type Mark struct {
	By string `json:"by"`
	At int64  `json:"at"` // unix ms
}

// marked is a mark with its node's name.
type marked struct {
	id   int64
	mark Mark
}

// Pin makes a product hot until Unpin. A pin that is there is replaced.
func (c *Client) Pin(ctx context.Context, id int64, by string) error {
	return c.mark(ctx, "pin", pinDir, id, by)
}

// Ban keeps a product from being hot until Unban. A ban that is there is replaced.
func (c *Client) Ban(ctx context.Context, id int64, by string) error {
	return c.mark(ctx, "ban", banDir, id, by)
}

// Unpin removes a pin; none is no error.
func (c *Client) Unpin(ctx context.Context, id int64, by string) error {
	return c.unmark(ctx, "unpin", pinDir, id, by)
}

// Unban removes a ban; none is no error.
func (c *Client) Unban(ctx context.Context, id int64, by string) error {
	return c.unmark(ctx, "unban", banDir, id, by)
}

func (c *Client) mark(ctx context.Context, verb, dir string, id int64, by string) error {
	if err := c.putMark(ctx, dir, id, by); err != nil {
		return fmt.Errorf("%s the product %d: %w", verb, id, err)
	}
	c.log.Info(verb, "product", id, "by", by)
	return nil
}

func (c *Client) putMark(ctx context.Context, dir string, id int64, by string) error {
	ctx, cancel := limited(ctx)
	defer cancel()
	name, err := markNode(id)
	if err != nil {
		return err
	}
	if len(by) > MaxBy {
		return fmt.Errorf("the name %.64q… has %d bytes, at most %d are allowed", by, len(by), MaxBy)
	}
	data, err := json.Marshal(Mark{By: by, At: time.Now().UnixMilli()})
	if err != nil {
		return err
	}
	names, err := c.children(ctx, dir)
	if err != nil {
		return err
	}
	if slices.Contains(names, name) {
		return c.zk.Put(ctx, dir+"/"+name, data)
	}
	if len(names) >= MaxMarks {
		return fmt.Errorf("%w: at most %d are allowed", ErrFull, MaxMarks)
	}
	if err := c.zk.Put(ctx, dir+"/"+name, data); err != nil {
		return err
	}
	// Others may have added theirs meanwhile. Of those above the limit the last
	// to be created sees all others in this list, and takes itself back.
	if names, err = c.children(ctx, dir); err != nil || len(names) <= MaxMarks {
		return err
	}
	if err := c.zk.Delete(ctx, dir+"/"+name, -1); err != nil {
		return err
	}
	return fmt.Errorf("%w: at most %d are allowed", ErrFull, MaxMarks)
}

func (c *Client) unmark(ctx context.Context, verb, dir string, id int64, by string) error {
	ctx, cancel := limited(ctx)
	defer cancel()
	name, err := markNode(id)
	if err == nil {
		err = c.zk.Delete(ctx, dir+"/"+name, -1)
	}
	if err != nil {
		return fmt.Errorf("%s the product %d: %w", verb, id, err)
	}
	c.log.Info(verb, "product", id, "by", by)
	return nil
}

// markNode is the name of a mark's node.
func markNode(id int64) (string, error) {
	name := strconv.FormatInt(id, 10)
	_, err := catalog.ParseID(name)
	return name, err
}

// parseMark reads the node of a mark.
func parseMark(name string, data []byte) (marked, error) {
	id, err := catalog.ParseID(name)
	if err != nil {
		return marked{}, err
	}
	m := marked{id: id}
	if err := decode(data, &m.mark); err != nil {
		return marked{}, err
	}
	return m, nil
}

// marks returns a directory's marks by id: those with the lowest ids where
// somebody made more than MaxMarks by hand.
func marks(d *directory[marked], nodes map[string][]byte) map[int64]Mark {
	all := d.read(nodes)
	if d.bound(len(all), MaxMarks) {
		slices.SortFunc(all, func(a, b marked) int { return cmp.Compare(a.id, b.id) })
		all = all[:MaxMarks]
	}
	byID := make(map[int64]Mark, len(all))
	for _, m := range all {
		byID[m.id] = m.mark
	}
	return byID
}
