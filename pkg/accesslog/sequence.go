package accesslog

// maxSenders bounds the processes that are remembered for a partition. A gateway that restarts
// is another sender.
const maxSenders = 4096

// sender is one run of one gateway.
type sender struct {
	gateway string
	boot    int64
}

// Sequences tells repeated records from new ones: a producer that got no answer
// sends a batch again, and though brokers recognise that, what was written
// across a change of leaders or by another client is recognised here. Records of
// one sender are in order within a partition, because its producer has one batch
// under way at a time.
//
// It has the number of each sender's last record in two halves. When the young
// one is full it becomes the old one, and whoever sends moves to the young one:
// only a sender that was silent while 2048 others sent can be forgotten. It is for one
// goroutine.
type Sequences struct {
	young, old map[sender]uint64
}

// NewSequences returns one that has seen no record.
func NewSequences() Sequences { return Sequences{young: map[sender]uint64{}} }

// Note says whether a record is one that was there before, and how many of its
// sender's are missing between the last one and this.
func (s *Sequences) Note(gateway []byte, boot int64, sequence uint64) (duplicate bool, missing uint64) {
	last, known := s.young[sender{string(gateway), boot}] // does not allocate
	if !known {
		last, known = s.old[sender{string(gateway), boot}]
	}
	if known && sequence <= last {
		return true, 0
	}
	if known {
		missing = sequence - last - 1
	}
	s.young[sender{string(gateway), boot}] = sequence
	if len(s.young) >= maxSenders/2 {
		s.young, s.old = make(map[sender]uint64, maxSenders/2), s.young
	}
	return false, missing
}
