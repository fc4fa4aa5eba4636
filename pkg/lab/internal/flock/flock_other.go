//go:build !linux

package flock

import (
	"errors"
	"os"
)

var errUnsupported = errors.New("the lab locks files on Linux only")

// Lock is not available here.
func Lock(string) (*os.File, error) { return nil, errUnsupported }

// Try is not available here.
func Try(string) (*os.File, error) { return nil, errUnsupported }
