package docapi

import (
	"context"
	"fmt"
	"time"

	"eshop/pkg/catalog"
)

// MaxBatch is the highest number of keys in one request.
const MaxBatch = 128

// Layer says where the cache role had a document from.
type Layer string

const (
	LayerL1     Layer = "l1"     // its own heap
	LayerRedis  Layer = "redis"  // Redis Cluster
	LayerOrigin Layer = "origin" // pulled for this request
)

// Request asks for one document.
type Request struct {
	Key catalog.Key
	// Min is the caller's floor: an answer below it would show an older page.
	Min catalog.Stamp
	// Revalidate asks for a fresh pull even if a copy exists.
	Revalidate bool
}

// Reply is one document and where it came from. An absent document or a
// tombstone is a Reply, not an error.
type Reply struct {
	Document catalog.Document
	Layer    Layer
	// Stale marks a copy that could not be checked against Redis or the origin.
	Stale bool
}

// Result is one member of a batch.
type Result struct {
	Reply Reply
	Err   error
}

// Source is what the cache role offers to the handler.
type Source interface {
	Load(ctx context.Context, req Request) (Reply, error)
	LoadMany(ctx context.Context, reqs []Request) []Result
}

// Unavailable says that no copy could be had and when it makes sense to ask again.
type Unavailable struct {
	Reason     string
	RetryAfter time.Duration
}

func (u *Unavailable) Error() string {
	return fmt.Sprintf("no copy can be had now: %s (ask again in %v)", u.Reason, u.RetryAfter)
}
