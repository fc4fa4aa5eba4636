package hotlist

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// Limits of what is published.
const (
	// MaxHot is how many keys one list of hot keys holds.
	MaxHot = 1000
	// MaxTopBytes is the size of one top list in JSON; ZooKeeper's own limit is 1 MiB.
	MaxTopBytes = 900 << 10
	// MaxHolder is the length of a holder's name in bytes.
	MaxHolder = 256
)

// ErrTooLarge is wrapped by the error of a list above its limit, which is not published.
var ErrTooLarge = errors.New("the list is too large")

// Why a key is hot.
const (
	ReasonRule = "rule"
	ReasonPin  = "pin"
)

// Key is a hot product.
type Key struct {
	ID    int64 `json:"id"`
	Count int64 `json:"count"` // hits in the window
	Since int64 `json:"since"` // unix ms, event time
	// Reason is ReasonRule or ReasonPin.
	Reason string `json:"reason,omitempty"`
}

// Hot is the list of a partition's hot keys, data of the node hot/<partition>.
type Hot struct {
	Partition  int32  `json:"partition"`
	Generation int64  `json:"generation"` // fencing token of the holder, from 1
	Holder     string `json:"holder"`
	Offset     int64  `json:"offset"`    // the next offset, not yet counted
	Watermark  int64  `json:"watermark"` // event time, unix ms
	Published  int64  `json:"published"` // unix ms by the holder's clock
	Keys       []Key  `json:"keys"`      // at most MaxHot
}

// Count is a product's hits in the window.
type Count struct{ ID, N int64 }

// Counts is [[id,n],…] in JSON.
type Counts []Count

// Top is the list of a partition's most frequent keys, data of the node
// top/<partition>.
type Top struct {
	Partition  int32   `json:"partition"`
	Generation int64   `json:"generation"` // fencing token of the holder, from 1
	Holder     string  `json:"holder"`
	Offset     int64   `json:"offset"`    // the next offset, not yet counted
	Watermark  int64   `json:"watermark"` // event time, unix ms
	Published  int64   `json:"published"` // unix ms by the holder's clock
	Span       int64   `json:"span"`      // ms, the window's length
	Total      int64   `json:"total"`     // hits in the window
	Distinct   int64   `json:"distinct"`  // products in the window
	Rate       float64 `json:"rate"`      // events a second
	Lag        int64   `json:"lag"`       // records not yet counted
	Keys       Counts  `json:"keys"`      // by count, descending
}

// MarshalJSON returns [[id,n],…].
func (c Counts) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 2+16*len(c))
	b = append(b, '[')
	for i, k := range c {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '[')
		b = strconv.AppendInt(b, k.ID, 10)
		b = append(b, ',')
		b = strconv.AppendInt(b, k.N, 10)
		b = append(b, ']')
	}
	return append(b, ']'), nil
}

// UnmarshalJSON reads [[id,n],…]; further elements of a pair are ignored.
func (c *Counts) UnmarshalJSON(data []byte) error {
	var pairs [][2]int64
	if err := json.Unmarshal(data, &pairs); err != nil {
		return err
	}
	*c = make(Counts, len(pairs))
	for i, p := range pairs {
		(*c)[i] = Count{p[0], p[1]}
	}
	return nil
}

// encodeHot returns the node's data, or ErrTooLarge.
func encodeHot(h Hot) ([]byte, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	if h.Keys == nil {
		h.Keys = []Key{}
	}
	return json.Marshal(h)
}

// encodeTop returns the node's data, or ErrTooLarge.
func encodeTop(t Top) ([]byte, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	data, err := json.Marshal(t)
	if err == nil && len(data) > MaxTopBytes {
		return nil, fmt.Errorf("%w: %d keys make %d bytes, at most %d are allowed", ErrTooLarge, len(t.Keys), len(data), MaxTopBytes)
	}
	return data, err
}

func (h *Hot) check() error {
	if len(h.Keys) > MaxHot {
		return fmt.Errorf("%w: %d hot keys, at most %d are allowed", ErrTooLarge, len(h.Keys), MaxHot)
	}
	for _, k := range h.Keys {
		if k.ID < 1 || k.Count < 0 {
			return fmt.Errorf("the hot key %d with count %d: an id is at least 1, a count at least 0", k.ID, k.Count)
		}
	}
	return checkHead(h.Partition, h.Generation)
}

func (t *Top) check() error {
	for _, k := range t.Keys {
		if k.ID < 1 || k.N < 0 {
			return fmt.Errorf("the key %d with count %d: an id is at least 1, a count at least 0", k.ID, k.N)
		}
	}
	return checkHead(t.Partition, t.Generation)
}

func checkHead(partition int32, generation int64) error {
	if partition < 0 || generation < 1 {
		return fmt.Errorf("partition %d, generation %d: a partition is at least 0, a generation at least 1", partition, generation)
	}
	return nil
}

// parseHot reads the node hot/<name>.
func parseHot(name string, data []byte) (Hot, error) {
	var h Hot
	if err := decode(data, &h); err != nil {
		return Hot{}, err
	}
	if err := checkName(name, h.Partition); err != nil {
		return Hot{}, err
	}
	if err := h.check(); err != nil {
		return Hot{}, err
	}
	return h, nil
}

// parseTop reads the node top/<name>.
func parseTop(name string, data []byte) (Top, error) {
	var t Top
	if err := decode(data, &t); err != nil {
		return Top{}, err
	}
	if err := checkName(name, t.Partition); err != nil {
		return Top{}, err
	}
	if err := t.check(); err != nil {
		return Top{}, err
	}
	return t, nil
}

// decode reads a JSON object; null, which the JSON package takes for "leave it
// as it is", is none.
func decode(data []byte, into any) error {
	if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return errors.New("it is no JSON object")
	}
	return json.Unmarshal(data, into)
}

// partitionNode is the name of a partition's node.
func partitionNode(partition int32) string { return strconv.FormatInt(int64(partition), 10) }

// parsePartition reads the name of a partition's node: one spelling for each.
func parsePartition(name string) (int32, bool) {
	n, err := strconv.ParseInt(name, 10, 32)
	return int32(n), err == nil && n >= 0 && partitionNode(int32(n)) == name
}

func checkName(name string, partition int32) error {
	if n, ok := parsePartition(name); !ok || n != partition {
		return fmt.Errorf("the node %q says that it is partition %d's", name, partition)
	}
	return nil
}
