package catalog

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// VersionOf reads the version of a body: the first of the kind's version fields
// that is present and usable. A whole number is taken as it is; a text of digits
// likewise; a date and time becomes milliseconds since 1970 in the kind's zone.
// A body with none of them has version 0 and field "", and is ordered by its
// token alone. A body that is not a JSON object is an error.
func (k *Kind) VersionOf(body []byte) (version int64, field string, err error) {
	values, err := TopLevel(body, k.VersionFields)
	if err != nil {
		return 0, "", fmt.Errorf("read the version of a %s: %w", k.Name, err)
	}
	for i, v := range values {
		if v == nil {
			continue
		}
		if n, ok := k.version(string(v)); ok {
			return n, k.VersionFields[i], nil
		}
	}
	return 0, "", nil
}

// timeLayouts are the spellings of a time seen in version fields.
var timeLayouts = [...]string{time.DateTime, "2006-01-02 15:04:05.999999999", time.RFC3339Nano, "2006-01-02T15:04:05", time.DateOnly}

func (k *Kind) version(raw string) (int64, bool) {
	if text, isText := Unquote(raw); isText {
		raw = strings.TrimSpace(text)
	}
	if n, err := strconv.ParseInt(raw, 10, 64); err == nil {
		return n, n >= 0
	}
	// 1.7e12 and 1700000000000.0 are how some encoders spell epoch milliseconds;
	// below 2^53 a float is exact. The other spellings Go knows (hexadecimal,
	// underscores, Inf) are no numbers of JSON.
	if strings.Trim(raw, "0123456789.eE+-") == "" {
		if f, err := strconv.ParseFloat(raw, 64); err == nil {
			if f < 0 || f >= 1<<53 || f != float64(int64(f)) {
				return 0, false
			}
			return int64(f), true
		}
	}
	zone := k.zone
	if zone == nil {
		zone = time.UTC
	}
	for _, layout := range timeLayouts {
		if t, err := time.ParseInLocation(layout, raw, zone); err == nil {
			ms := t.UnixMilli()
			return ms, ms >= 0
		}
	}
	return 0, false
}
