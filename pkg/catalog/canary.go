package catalog

import "encoding/json"

// A canary is a message that tests the way of changes without being one: sent to
// the topic of changes it names no document, and the cache process that gets it
// answers on the topic of invalidations with a heartbeat of the same name. That
// heartbeat is of 1970, so it moves no watermark.

type canaryWire struct {
	Canary string `json:"canary"`
}

// CanaryChange returns the message for the topic of changes.
func CanaryChange(id string) []byte {
	b, err := json.Marshal(canaryWire{id})
	if err != nil { // a string always encodes
		panic(err)
	}
	return b
}

// CanaryOf returns the name in a message that CanaryChange made; false for any other.
func CanaryOf(value []byte) (id string, ok bool) {
	fields, err := TopLevel(value, []string{"canary", "kind", "serviceId"})
	if err != nil || fields[0] == nil || fields[1] != nil || fields[2] != nil {
		return "", false
	}
	id, ok = Unquote(string(fields[0]))
	return id, ok && id != "" && len(id) <= maxCanary
}

// maxCanary bounds what is sent back.
const maxCanary = 100

// CanaryEcho returns the answer, for the topic of invalidations.
func CanaryEcho(id string) []byte { return Invalidation{Heartbeat: id, Sent: 1}.Encode() }
