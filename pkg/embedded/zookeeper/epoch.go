package zookeeper

import (
	"fmt"
	"math"
	"time"
)

// zxidOrigin is where the clock part of zxids starts: 2020-01-01 UTC in milliseconds since 1970.
const zxidOrigin = 1_577_836_800_000

// clockZxid maps the time to a zxid: milliseconds since 2020 shifted by 22 bits, good until 2089. The high 32 bits advance about once a
// second (1.024 s) and 4 Mi transactions a millisecond would be needed to outrun it.
func clockZxid(now time.Time) int64 { return max(now.UnixMilli()-zxidOrigin, 1) << 22 }

// firstEpoch chooses the zxid this run starts from. Without a data directory it is the clock. With one it is the clock or, when the
// clock has been set back, the epoch after the last one on disk; it is on disk before anybody is served, so a crash at any
// later moment is followed by a higher epoch still.
func (s *Server) firstEpoch(now time.Time) error {
	first := max(clockZxid(now), s.zxid+1)
	if s.store == nil {
		s.zxid = first
		return nil
	}
	last, err := s.store.readEpoch()
	if err != nil {
		return err
	}
	epoch := max(first>>32, last, s.zxid>>32) + 1
	if err := s.store.writeEpoch(epoch); err != nil {
		return err
	}
	s.zxid = epoch << 32
	return nil
}

// nextZxid is the zxid after the last one; the caller sets it once it is used. When the low 32 bits are used up the carry opens a new epoch, which
// is made durable first. The caller holds the lock.
func (s *Server) nextZxid() (int64, error) {
	if s.zxid == math.MaxInt64 {
		return 0, fmt.Errorf("all zxids are used up")
	}
	next := s.zxid + 1
	if s.store != nil && next>>32 != s.zxid>>32 {
		if err := s.store.writeEpoch(next >> 32); err != nil {
			return 0, err
		}
	}
	return next, nil
}
