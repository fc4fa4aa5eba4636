package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// Op is what a change message announces.
type Op string

const (
	// OpUpdate: the document changed (the default, and all the replaced system knew).
	OpUpdate Op = ""
	// OpDelete: the document was deleted.
	OpDelete Op = "delete"
	// OpForce: the source went back on purpose; its document wins although its
	// version is older.
	OpForce Op = "force"
)

// Change is one message of the topic cache-message: a document of the shop's
// own services changed after this message's cause and before it was sent.
type Change struct {
	Key Key
	Op  Op
	// Version is the origin's version that the sender announces, 0 if it does
	// not say. A pull that shows less met an origin that lags.
	Version int64
}

// ErrBadChange is wrapped by every error of ParseChange.
var ErrBadChange = errors.New("not a change message")

type changeWire struct {
	ServiceID string          `json:"serviceId,omitempty"`
	Kind      string          `json:"kind,omitempty"`
	ID        json.RawMessage `json:"id,omitempty"`
	Op        Op              `json:"op,omitempty"`
	Version   json.RawMessage `json:"version,omitempty"`
}

// ParseChange reads a change message: the replaced system's form
// {"serviceId":"productInfoService","productId":1,"shopId":1}, where the
// service tells which id counts, or {"kind":"category","id":"9"}. Ids and
// versions are numbers or digit strings.
func (c *Catalog) ParseChange(value []byte) (Change, error) {
	var w changeWire
	if err := json.Unmarshal(value, &w); err != nil {
		return Change{}, fmt.Errorf("%w: it is not a JSON object of the known shape: %v", ErrBadChange, err)
	}
	var kind *Kind
	raw := w.ID
	switch {
	case w.Kind != "":
		if kind = c.kinds[w.Kind]; kind == nil {
			return Change{}, fmt.Errorf("%w: the kind %q is not configured", ErrBadChange, w.Kind)
		}
	case w.ServiceID != "":
		if kind = c.serves[w.ServiceID]; kind == nil {
			return Change{}, fmt.Errorf("%w: the serviceId %q belongs to no configured kind", ErrBadChange, w.ServiceID)
		}
		fields, err := TopLevel(value, []string{kind.Param})
		if err != nil {
			return Change{}, fmt.Errorf("%w: %v", ErrBadChange, err)
		}
		raw = fields[0]
	default:
		return Change{}, fmt.Errorf("%w: it names neither a serviceId nor a kind", ErrBadChange)
	}
	id, ok := RawID(raw)
	if !ok {
		return Change{}, fmt.Errorf("%w: the id of the %s is %s, it must be a whole number from 1 on", ErrBadChange, kind.Name, orMissing(raw))
	}
	ch := Change{Key: Key{Kind: kind.Name, ID: id}, Op: w.Op}
	switch w.Op {
	case OpUpdate, OpDelete, OpForce:
	case "update":
		ch.Op = OpUpdate
	default:
		return Change{}, fmt.Errorf("%w: the op %q is unknown: it is one of update, delete, force", ErrBadChange, w.Op)
	}
	if len(w.Version) > 0 && string(w.Version) != "null" {
		if ch.Version, ok = kind.version(string(w.Version)); !ok {
			return Change{}, fmt.Errorf("%w: the version %s is not a whole number from 0 on, nor a time", ErrBadChange, w.Version)
		}
	}
	return ch, nil
}

func orMissing(raw []byte) string {
	if len(raw) == 0 {
		return "missing"
	}
	if len(raw) > 64 {
		return string(raw[:64]) + "…"
	}
	return string(raw)
}

// EncodeChange returns the message of a change, in the replaced system's form
// when the kind has a service there, so that its consumers can read it too.
func (c *Catalog) EncodeChange(ch Change) ([]byte, error) {
	kind := c.kinds[ch.Key.Kind]
	if kind == nil {
		return nil, fmt.Errorf("encode a change: the kind %q is not configured", ch.Key.Kind)
	}
	m := map[string]any{}
	if kind.Service != "" {
		m["serviceId"], m[kind.Param] = kind.Service, ch.Key.ID
	} else {
		m["kind"], m["id"] = kind.Name, strconv.FormatInt(ch.Key.ID, 10)
	}
	if ch.Op != OpUpdate {
		m["op"] = ch.Op
	}
	if ch.Version != 0 {
		m["version"] = ch.Version
	}
	return json.Marshal(m)
}
