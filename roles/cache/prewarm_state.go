package cache

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
)

// maxPlan is how many products one generation of a prewarm has at most: with
// nine bytes each the plan's node stays far below ZooKeeper's 1 MiB.
const maxPlan = 50_000

// prewarmState is how far a generation has got: the data of the node
// prewarm/state. Its counters, marks and cursor are of one moment, so whoever
// reads it can go on from there and counts nothing twice.
type prewarmState struct {
	Generation int64  `json:"generation"` // the fencing token of the request
	By         string `json:"by"`         // the process that asked
	Reason     string `json:"reason"`
	Started    int64  `json:"started"`            // unix ms
	Finished   int64  `json:"finished,omitempty"` // unix ms; 0: not yet

	Runner string `json:"runner"` // the process that is at it, or was last
	Term   int64  `json:"term"`   // the fencing token of its lock
	Plan   int32  `json:"plan"`   // version of the node prewarm/plan that all this is about

	// Total is the products of the plan. Each product up to the cursor counts in
	// exactly one of the next four; failed ones are tried again in later rounds.
	Total   int `json:"total"`
	Pulled  int `json:"pulled"`  // brought from the origin since Started
	Present int `json:"present"` // there before, and young enough
	Absent  int `json:"absent"`  // the origin does not have it
	Failed  int `json:"failed"`
	// Related counts the documents reached from the products. A process that
	// takes over looks at those of its own share again.
	Related int `json:"related"`

	Round   int    `json:"round"`             // 0, then one up each time the failed ones are tried again
	Cursor  int    `json:"cursor"`            // places of the plan that this round is through with
	Failing []byte `json:"failing,omitempty"` // bit i%8 of byte i/8: the product at place i has failed

	Rate    float64 `json:"rate"`              // products a second, lately
	Updated int64   `json:"updated"`           // unix ms
	Waiting string  `json:"waiting,omitempty"` // for what
	Fault   string  `json:"fault,omitempty"`   // why the latest that failed did
}

// unfinished reports whether there is something to go on with.
func (s *prewarmState) unfinished() bool { return s.Generation != 0 && s.Finished == 0 }

func (s *prewarmState) failing(place int) bool {
	return place/8 < len(s.Failing) && s.Failing[place/8]&(1<<(place%8)) != 0
}

// count notes what became of the product at a place. One that had failed before
// is not counted as failed any longer.
func (s *prewarmState) count(place int, o outcome) {
	if s.failing(place) {
		s.Failing[place/8] &^= 1 << (place % 8)
		s.Failed--
	}
	switch o {
	case pulled:
		s.Pulled++
	case present:
		s.Present++
	case absent:
		s.Absent++
	default:
		if s.Failing == nil {
			s.Failing = make([]byte, (s.Total+7)/8)
		}
		s.Failing[place/8] |= 1 << (place % 8)
		s.Failed++
	}
}

// done is how many products need not be looked at again.
func (s *prewarmState) done() int { return s.Pulled + s.Present + s.Absent }

// left is how many products this round still has to look at.
func (s *prewarmState) left() int {
	if s.Round == 0 {
		return s.Total - s.Cursor
	}
	n := 0
	for place := s.Cursor; place < s.Total; place++ {
		if s.failing(place) {
			n++
		}
	}
	return n
}

func (s *prewarmState) encode() []byte { return encodeJSON(s) }

// encodeJSON is for what consists of plain texts and numbers and so always encodes.
func encodeJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// parsePrewarmState reads what encode wrote. No data is the zero state: there
// was no prewarm yet.
func parsePrewarmState(data []byte) (prewarmState, error) {
	var s prewarmState
	if len(data) == 0 {
		return s, nil
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return prewarmState{}, fmt.Errorf("read the state of the prewarm: %w", err)
	}
	failed := 0
	for _, b := range s.Failing {
		failed += bits.OnesCount8(b)
	}
	if s.Generation < 1 || s.Total < 0 || s.Total > maxPlan || s.Cursor < 0 || s.Cursor > s.Total || s.Round < 0 || s.Round > retryRounds ||
		len(s.Failing) > (s.Total+7)/8 || s.Finished == 0 && failed != s.Failed || failed > s.Failed ||
		s.Pulled < 0 || s.Present < 0 || s.Absent < 0 || s.Pulled+s.Present+s.Absent+s.Failed > s.Total {
		return prewarmState{}, fmt.Errorf("read the state of the prewarm: it contradicts itself: %.200s", data)
	}
	if len(s.Failing) > 0 { // places behind its end have not failed
		s.Failing = append(s.Failing, make([]byte, (s.Total+7)/8-len(s.Failing))...)
	}
	return s, nil
}

// prewarmRequest asks for a generation: the data of the node prewarm/request.
// It is pending while the state is of a lower generation.
type prewarmRequest struct {
	Generation int64  `json:"generation"`
	By         string `json:"by"`
	Reason     string `json:"reason"`
	At         int64  `json:"at"` // unix ms
}

func parsePrewarmRequest(data []byte) (prewarmRequest, error) {
	var q prewarmRequest
	if len(data) == 0 {
		return q, nil
	}
	if err := json.Unmarshal(data, &q); err != nil {
		return prewarmRequest{}, fmt.Errorf("read the request of a prewarm: %w", err)
	}
	return q, nil
}

// planForm is the first byte of a plan: a later form will have another.
const planForm = 1

var errBadPlan = errors.New("the plan is not readable")

// encodePlan is the data of the node prewarm/plan: the form, then as varints the
// generation, the number of ids and the ids in the order they are warmed.
func encodePlan(generation int64, ids []int64) []byte {
	b := make([]byte, 0, 20+5*len(ids))
	b = append(b, planForm)
	b = binary.AppendUvarint(b, uint64(generation))
	b = binary.AppendUvarint(b, uint64(len(ids)))
	for _, id := range ids {
		b = binary.AppendUvarint(b, uint64(id))
	}
	return b
}

func parsePlan(data []byte) (generation int64, ids []int64, err error) {
	if len(data) == 0 || data[0] != planForm {
		return 0, nil, fmt.Errorf("%w: it has another form", errBadPlan)
	}
	data = data[1:]
	next := func() int64 {
		n, size := binary.Uvarint(data)
		if size <= 0 || n > 1<<63-1 {
			err = errBadPlan
			return 0
		}
		data = data[size:]
		return int64(n)
	}
	generation = next()
	count := next()
	if err != nil || count > maxPlan || count > int64(len(data)) { // an id has a byte at least
		return 0, nil, fmt.Errorf("%w: generation %d with %d ids in %d bytes", errBadPlan, generation, count, len(data))
	}
	ids = make([]int64, 0, count)
	for range count {
		id := next()
		if err != nil || id == 0 {
			return 0, nil, fmt.Errorf("%w: the id number %d is wrong", errBadPlan, len(ids))
		}
		ids = append(ids, id)
	}
	if len(data) > 0 {
		return 0, nil, fmt.Errorf("%w: %d bytes follow it", errBadPlan, len(data))
	}
	return generation, ids, nil
}
