package simulation

import (
	"errors"

	"eshop/pkg/catalog"
	"eshop/pkg/coherence"
)

var errAnnounced = errors.New("the origin does not show what was announced")

// patience is how often a message is tried whose announcement the origin does
// not show, before it is a dead letter.
const patience = 3

// handle applies one message until its effect is in Redis and on the bus, or it
// is a dead letter. It returns false when the partition was taken away.
func (c *cache) handle(t *task, cl *claim, rec record) bool {
	for attempt := 1; ; attempt++ {
		if cl.gone {
			return false
		}
		ch, err := c.w.cat.ParseChange(rec.value)
		if err == nil {
			if err = c.apply(t, ch); err == nil {
				return true
			}
			if !errors.Is(err, errAnnounced) || attempt <= patience {
				c.w.events.note("change messages tried again")
				next := c.w.now + 200
				t.wait("wait to try the change again", func() bool { return cl.gone || c.w.now > next })
				continue
			}
		}
		t.step("write a dead letter")
		if c.w.feed.reaches(c.process) {
			c.w.dead = append(c.w.dead, string(rec.value))
			c.w.events.note("dead letters")
			return true
		}
	}
}

// apply pulls under a token taken after the message was received, writes, and
// announces what Redis holds, whatever the write did.
func (c *cache) apply(t *task, ch catalog.Change) error {
	tk := c.lock(t, ch.Key)
	if tk == nil {
		return errAway
	}
	written, got, err := c.rebuild(t, ch, tk)
	t.step("give the lock back")
	tk.release()
	if err != nil {
		return err
	}
	inv := catalog.Invalidation{Key: ch.Key, Stamp: written.Stamp, State: written.State.String()}
	if err := c.publish(t, inv, c.w.check.place(written)); err != nil {
		return err
	}
	if !coherence.Shown(ch, got.State, got.Field, got.Stamp.Version) {
		return errAnnounced
	}
	return nil
}

// rebuild does the part that is under the lock. A holder that has lost it gives
// up, if it notices in time.
func (c *cache) rebuild(t *task, ch catalog.Change, tk *ticket) (written, got catalog.Document, err error) {
	lost := func() bool { return tk.lost() && !c.w.choices.chance(2) }
	if lost() {
		return written, got, errAway
	}
	v := c.moment()
	if got, err = c.pullOrigin(t, ch.Key, tk, coherence.Base(catalog.Stamp{}, tk.token)); err != nil {
		return written, got, err
	}
	known := c.known(ch.Key)
	got.Stamp.Epoch = known.Epoch
	op, doc := coherence.ForChange(ch.Op, known, got)
	if lost() {
		return written, got, errAway
	}
	written, _, err = c.write(t, op, doc)
	if tk.s.expired {
		c.w.events.note("holders that wrote after their session had expired")
	}
	if err != nil {
		return written, got, err
	}
	c.floor.Raise(ch.Key, written.Stamp)
	t.step("end the own copies")
	c.changed(catalog.Invalidation{Key: ch.Key, Stamp: written.Stamp, State: written.State.String()})
	c.keep(t, written, v)
	return written, got, nil
}
