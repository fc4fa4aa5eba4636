package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Invalidation is one message of the topic cache-invalidate. With a Key it says
// that Redis holds the document with this Stamp; with a Heartbeat it says only
// that the bus is alive and when.
type Invalidation struct {
	Key   Key   `json:"key,omitzero"`
	Stamp Stamp `json:"stamp,omitzero"`
	// State of the stored document, as a word.
	State string `json:"state,omitempty"`
	// Heartbeat is the leader's id; then Key is empty.
	Heartbeat string `json:"heartbeat,omitempty"`
	// Changed is when the change message that caused this was produced,
	// milliseconds since 1970; Sent when this one was.
	Changed int64 `json:"changed,omitempty"`
	Sent    int64 `json:"sent"`
}

// ErrBadInvalidation is wrapped by every error of ParseInvalidation.
var ErrBadInvalidation = errors.New("not an invalidation message")

// Encode returns the message's bytes.
func (i Invalidation) Encode() []byte {
	b, err := json.Marshal(i)
	if err != nil { // plain strings and numbers always encode
		panic(err)
	}
	return b
}

// Supersedes reports whether a copy with this stamp is out of date now that
// Redis holds what i says. Beside the order of stamps there are two cases in which
// the later token decides, for who has it pulled later:
//
//   - A tombstone over nothing (Redis had dropped the document) knows no version.
//   - An epoch below the copy's: Redis has lost the write that began the copy's
//     epoch, before it was announced, or the writer would have kept to it.
func (i Invalidation) Supersedes(stamp Stamp) bool {
	if stamp.Less(i.Stamp) {
		return true
	}
	return i.Stamp.Token > stamp.Token && (i.State == Tombstone.String() || i.Stamp.Epoch < stamp.Epoch)
}

// SentTime returns Sent as a time.
func (i Invalidation) SentTime() time.Time { return time.UnixMilli(i.Sent) }

// ParseInvalidation reads what Encode wrote.
func ParseInvalidation(value []byte) (Invalidation, error) {
	var i Invalidation
	if err := json.Unmarshal(value, &i); err != nil {
		return i, fmt.Errorf("%w: %v", ErrBadInvalidation, err)
	}
	switch {
	case i.Heartbeat != "":
	case i.Key.Kind == "" || i.Key.ID <= 0:
		return i, fmt.Errorf("%w: it names neither a document nor a heartbeat", ErrBadInvalidation)
	case i.Stamp.Epoch < 0 || i.Stamp.Version < 0 || i.Stamp.Token < 0:
		return i, fmt.Errorf("%w: the stamp %v has a negative part", ErrBadInvalidation, i.Stamp)
	}
	return i, nil
}
