package gateway

import (
	"strconv"
	"time"

	"eshop/pkg/degrade"
)

// cacheStatus builds the value of the header Cache-Status (RFC 9211). The last
// member is this gateway's own answer; one before it tells of the level that was
// asked. It is built in a buffer of the caller, so a hit allocates nothing.
//
//	eshop; hit; ttl=842; detail="v=1700000000000; age=3; owner=gw-1"
//	eshop; hit; ttl=842; detail="v=1700000000000; age=3; hot; owner=gw-2"
//	eshop; hit; ttl=-4; detail="stale; v=…; age=…; owner=gw-1"
//	eshop; hit; ttl=-4; detail="stale; degraded=stale-only; v=…; age=…; owner=gw-1"
//	eshop-redis; hit, eshop; fwd=uri-miss; stored; ttl=1000; detail="…"
//	eshop; fwd=stale; ttl=20; detail="stale; v=…; age=…; owner=gw-1"
//	eshop; hit; ttl=900; detail="v=…; age=…; owner=gw-2", eshop; fwd=uri-miss; ttl=900; detail="v=…; age=…; peer; owner=gw-2"
type cacheStatus struct {
	hit    bool
	fwd    string // without hit: uri-miss or stale
	stored bool
	stale  bool // served although it could not be checked
	// partial: a related document could not be had.
	partial bool
	// degraded: the modes of the kinds it shows.
	degraded degrade.Modes
	// hot: the product is, as far as this gateway knows.
	hot   bool
	layer layer
	owner string
	// peer: another gateway asked and is told the documents' stamps too.
	peer bool
}

// append writes the members of an answer that was built from root, nil if there
// is none. ttl is how long it stays fresh.
func (s cacheStatus) append(b []byte, root *flag, ttl time.Duration, now int64) []byte {
	if !s.hit {
		switch s.layer {
		case layerRedis, layerCache:
			b = append(append(append(b, "eshop-"...), s.layer.String()...), "; hit, "...)
		case layerOrigin:
			b = append(b, "eshop-cache; fwd=miss, "...)
		}
	}
	b = append(b, "eshop"...)
	if s.hit {
		b = append(b, "; hit"...)
	} else {
		b = append(append(b, "; fwd="...), s.fwd...)
	}
	if s.stored {
		b = append(b, "; stored"...)
	}
	if root != nil {
		b = append(b, "; ttl="...)
		b = strconv.AppendInt(b, int64(ttl/time.Second), 10)
	}
	b = append(b, `; detail="`...)
	if s.stale {
		b = append(b, "stale; "...)
	}
	if s.partial {
		b = append(b, "partial; "...)
	}
	if s.degraded != 0 {
		b = append(append(append(b, "degraded="...), s.degraded.String()...), "; "...)
	}
	if root != nil {
		b = append(b, "v="...)
		b = strconv.AppendInt(b, root.stamp.Version, 10)
		b = append(b, "; age="...)
		b = strconv.AppendInt(b, max(0, (now-root.verified.Load())/int64(time.Second)), 10)
	}
	if s.hot {
		if root != nil {
			b = append(b, "; "...)
		}
		b = append(b, "hot"...)
	}
	if s.owner != "" {
		if root != nil || s.hot {
			b = append(b, "; "...)
		}
		b = append(append(b, "owner="...), s.owner...)
	}
	return append(b, '"')
}

// token makes an id fit for a quoted string.
func token(id string) string {
	b := []byte(id)
	for i, c := range b {
		if c < ' ' || c > '~' || c == '"' || c == '\\' || c == ';' || c == ',' {
			b[i] = '_'
		}
	}
	return string(b)
}
