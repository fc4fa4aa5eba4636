package zookeeper

import (
	"net"
	"sync"
	"time"
)

const (
	maxOutboxBytes = 1 << 20         // answers queued beyond this stop the reading of further requests
	maxEventBytes  = 4 << 20         // watch events queued beyond this end the connection: nobody waits for a slow reader
	drainTimeout   = 5 * time.Second // for the last answers of a connection that is being closed in order
)

// outbox is what waits to be written to one connection, in order. Putting never blocks, because it happens under the server's lock; the
// bound on answers is kept by awaitRoom, which the reader calls before it takes the next request, outside that lock.
type outbox struct {
	mu         sync.Mutex
	changed    sync.Cond
	frames     net.Buffers
	bytes      int
	eventBytes int
	limit      int  // frames
	ending     bool // nothing may be put any more; what is there is written
	dead       bool // the connection is gone; everything is discarded
}

func newOutbox(limit int) *outbox {
	o := &outbox{limit: limit}
	o.changed.L = &o.mu
	return o
}

func (o *outbox) put(frame []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.add(frame)
}

// putEvent is put for a watch event; false says that too many events wait already.
func (o *outbox) putEvent(frame []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.eventBytes+len(frame) > maxEventBytes {
		return false
	}
	o.eventBytes += len(frame)
	o.add(frame)
	return true
}

func (o *outbox) add(frame []byte) {
	if o.ending || o.dead {
		return
	}
	o.frames = append(o.frames, frame)
	o.bytes += len(frame)
	o.changed.Broadcast()
}

// awaitRoom blocks while the client does not take its answers. False: the connection is over.
func (o *outbox) awaitRoom() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.ending && !o.dead && (len(o.frames) >= o.limit || o.bytes >= maxOutboxBytes) {
		o.changed.Wait()
	}
	return !o.ending && !o.dead
}

// end lets what was put be written and then the writer stop.
func (o *outbox) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ending = true
	o.changed.Broadcast()
}

// kill discards everything.
func (o *outbox) kill() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dead = true
	o.frames, o.bytes, o.eventBytes = nil, 0, 0
	o.changed.Broadcast()
}

// next waits for frames. Empty: there is nothing more to write.
func (o *outbox) next() net.Buffers {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.frames) == 0 && !o.ending && !o.dead {
		o.changed.Wait()
	}
	batch := o.frames
	o.frames, o.bytes, o.eventBytes = nil, 0, 0
	o.changed.Broadcast()
	return batch
}

// write sends frames until the outbox ends or the connection fails, then closes the connection.
func (o *outbox) write(to net.Conn) {
	defer to.Close()
	defer o.kill()
	for {
		batch := o.next()
		if len(batch) == 0 {
			return
		}
		if _, err := batch.WriteTo(to); err != nil {
			return
		}
	}
}
