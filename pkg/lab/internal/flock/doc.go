// Package flock locks a file between processes. The kernel drops the lock when its holder ends, in whatever way.
package flock

import "errors"

// ErrHeld is returned by Try while another process holds the lock.
var ErrHeld = errors.New("another process holds the lock")
