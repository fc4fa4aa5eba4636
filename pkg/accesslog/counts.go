package accesslog

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

const (
	// MaxCounts is how many products a counts record may have; a sender with more
	// writes several records. One of so many is shorter than 400,000 bytes.
	MaxCounts = 1 << 15
	// MaxHits is how many hits a counts record may have in all. It is far above what
	// can happen between two flushes; windows can add up such records without overflow.
	MaxHits = 1 << 40
	// MaxGateway is the length of a gateway's id in bytes.
	MaxGateway = 256
)

const (
	countsMagic   = 0xc7
	countsVersion = 1
)

// Count is how often one product was asked for.
type Count struct {
	ID int64
	N  int64
}

// Counts is what one gateway has counted for one partition since its last record.
type Counts struct {
	Gateway  string  // id of the sender, at most MaxGateway bytes
	Boot     int64   // when the sender's process started, ms since 1970
	Sequence uint64  // number of the record among those of this process for the partition, from 1
	Time     int64   // event time of all its hits, ms since 1970
	Counts   []Count // ascending ids from 1, N from 1; at most MaxCounts of them and MaxHits in all
}

// AppendCounts appends the record of c to b. It does not check what is said at
// the fields of Counts; Decode refuses a record that breaks it.
func AppendCounts(b []byte, c *Counts) []byte {
	total := uint64(0)
	for i := range c.Counts {
		total += uint64(c.Counts[i].N)
	}
	b = append(b, countsMagic, countsVersion)
	b = binary.AppendUvarint(b, total)
	b = binary.AppendUvarint(b, uint64(len(c.Counts)))
	b = binary.AppendUvarint(b, uint64(c.Time))
	b = binary.AppendUvarint(b, uint64(c.Boot))
	b = binary.AppendUvarint(b, c.Sequence)
	b = binary.AppendUvarint(b, uint64(len(c.Gateway)))
	b = append(b, c.Gateway...)
	last := int64(0)
	for i := range c.Counts {
		b = binary.AppendUvarint(b, uint64(c.Counts[i].ID-last))
		b = binary.AppendUvarint(b, uint64(c.Counts[i].N))
		last = c.Counts[i].ID
	}
	return b
}

// countsHeader is all of a counts record but its entries.
type countsHeader struct {
	total    uint64
	products int
	time     int64
	boot     int64
	sequence uint64
	gateway  []byte
	entries  []byte
}

// readCountsHeader reads a value that begins with countsMagic.
func readCountsHeader(value []byte) (h countsHeader, err error) {
	if len(value) < 2 || value[1] != countsVersion {
		return h, fmt.Errorf("%w: counts of an unknown version", ErrMalformed)
	}
	b := value[2:]
	var number [6]uint64 // total, products, time, boot, sequence, length of the gateway's id
	for i := range number {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return h, fmt.Errorf("%w: counts whose header is cut off", ErrMalformed)
		}
		number[i], b = v, b[n:]
	}
	length := number[5]
	switch {
	case length > MaxGateway: // readers remember it
		return h, fmt.Errorf("%w: counts whose gateway's id has %d bytes", ErrMalformed, length)
	case length > uint64(len(b)):
		return h, fmt.Errorf("%w: counts whose gateway is cut off", ErrMalformed)
	case number[0] > MaxHits || number[1] > MaxCounts:
		return h, fmt.Errorf("%w: counts of %d products with %d hits are above the limits", ErrMalformed, number[1], number[0])
	case number[1] > (uint64(len(b))-length)/2: // an entry is two bytes or more: what is allocated is bounded by what arrived
		return h, fmt.Errorf("%w: counts whose entries are cut off", ErrMalformed)
	case number[2] > math.MaxInt64 || number[3] > math.MaxInt64:
		return h, fmt.Errorf("%w: counts of a time before 1970", ErrMalformed)
	}
	return countsHeader{
		total: number[0], products: int(number[1]), time: int64(number[2]), boot: int64(number[3]), sequence: number[4],
		gateway: b[:length], entries: b[length:],
	}, nil
}

func (d *Decoder) decodeCounts(value []byte) (Record, error) {
	h, err := readCountsHeader(value)
	if err != nil {
		return Record{}, err
	}
	d.counts = slices.Grow(d.counts[:0], h.products)[:h.products]
	b, id, left := h.entries, uint64(0), h.total
	for i := range d.counts {
		var delta, hits uint64
		if len(b) >= 2 && b[0] < 0x80 && b[1] < 0x80 { // nearly all of them
			delta, hits, b = uint64(b[0]), uint64(b[1]), b[2:]
		} else {
			n := 0
			if delta, n = binary.Uvarint(b); n <= 0 {
				return Record{}, fmt.Errorf("%w: counts whose entries are cut off", ErrMalformed)
			}
			b = b[n:]
			if hits, n = binary.Uvarint(b); n <= 0 {
				return Record{}, fmt.Errorf("%w: counts whose entries are cut off", ErrMalformed)
			}
			b = b[n:]
		}
		if delta == 0 || delta > math.MaxInt64-id || hits == 0 || hits > left {
			return Record{}, fmt.Errorf("%w: counts whose ids do not ascend or whose hits are not their total", ErrMalformed)
		}
		id += delta
		left -= hits
		d.counts[i] = Count{ID: int64(id), N: int64(hits)}
	}
	if left != 0 || len(b) != 0 {
		return Record{}, fmt.Errorf("%w: counts whose entries are not those of the header", ErrMalformed)
	}
	return Record{Shape: ShapeCounts, Time: h.time, Gateway: h.gateway, Boot: h.boot, Sequence: h.sequence, Counts: d.counts}, nil
}
