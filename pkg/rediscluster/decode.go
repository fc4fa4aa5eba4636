package rediscluster

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"eshop/pkg/catalog"
)

// hashFields are the fields of a stored document: body, epoch, version, token,
// name of the version field, state, pulled at (unix ms).
var hashFields = []string{"b", "e", "v", "t", "f", "s", "p"}

var hashArgs = func() (args []any) {
	for _, f := range hashFields {
		args = append(args, f)
	}
	return args
}()

const (
	stateLive = "live"
	stateGone = "gone"
)

var errNotDocument = errors.New("neither a hash of eshop nor a string of the replaced system")

// HashFields returns the fields of a stored document in the order in which
// ParseHash wants their values.
func HashFields() []string { return slices.Clone(hashFields) }

// ParseHash reads the answer of HMGET for HashFields: a text or nil for each. An
// error comes with an absent document.
func ParseHash(key catalog.Key, fields []any) (catalog.Document, error) {
	absent := catalog.Document{Key: key}
	if len(fields) != len(hashFields) {
		return absent, fmt.Errorf("%w: %d fields instead of %d", errNotDocument, len(fields), len(hashFields))
	}
	var f [7]string
	missing := 0
	for i, v := range fields {
		text, ok := v.(string)
		if !ok {
			missing++
		}
		f[i] = text
	}
	if missing == len(fields) {
		return absent, nil
	}
	doc := catalog.Document{Key: key, Field: f[4]}
	for i, to := range []*int64{&doc.Stamp.Epoch, &doc.Stamp.Version, &doc.Stamp.Token} {
		n, ok := parseNumber(f[i+1])
		if !ok {
			return absent, fmt.Errorf("%w: its field %s is %.40q", errNotDocument, hashFields[i+1], f[i+1])
		}
		*to = n
	}
	switch f[5] {
	case stateLive:
		doc.State, doc.Body = catalog.Live, bytesOf(f[0])
	case stateGone:
		doc.State = catalog.Tombstone
	default:
		return absent, fmt.Errorf("%w: its state is %.40q", errNotDocument, f[5])
	}
	if ms, ok := parseNumber(f[6]); ok && ms > 0 {
		doc.Pulled = time.UnixMilli(ms)
	}
	return doc, nil
}

// bytesOf returns the bytes of a text that the library has read, not a copy of
// them: the text is in memory of its own that nobody changes, a Document's body
// neither.
func bytesOf(text string) []byte {
	body, _ := redis.NewStringResult(text, nil).Bytes()
	return body
}

// decodeString reads a value of the replaced system: the JSON itself, with the
// version inside it, token 0 and epoch 0. An error comes with an absent document.
func decodeString(kind *catalog.Kind, key catalog.Key, body []byte) (catalog.Document, error) {
	version, field, err := kind.VersionOf(body)
	if err != nil {
		return catalog.Document{Key: key}, fmt.Errorf("%w: %v", errNotDocument, err)
	}
	return catalog.Document{Key: key, State: catalog.Live, Body: body, Field: field, Stamp: catalog.Stamp{Version: version}}, nil
}

// parseNumber reads canonical decimal text from 0 to 2^63-1: no sign, no
// leading zero. The script accepts the same texts and no others.
func parseNumber(text string) (int64, bool) {
	if text == "" || (text[0] == '0' && text != "0") || text[0] == '+' || text[0] == '-' {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// stringSighting remembers when a plain string was last met.
type stringSighting struct{ at atomic.Int64 }

const stringMemory = 10 * time.Second

func (s *stringSighting) seen(now time.Time) { s.at.Store(now.UnixNano()) }

func (s *stringSighting) recent(now time.Time) bool {
	at := s.at.Load()
	return at != 0 && now.UnixNano()-at < int64(stringMemory)
}
