package flock

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Lock waits for the lock on the file, which is created when missing. Closing the returned file releases it.
func Lock(path string) (*os.File, error) { return lock(path, syscall.LOCK_EX) }

// Try takes the lock or returns ErrHeld.
func Try(path string) (*os.File, error) { return lock(path, syscall.LOCK_EX|syscall.LOCK_NB) }

func lock(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock file: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrHeld
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}
