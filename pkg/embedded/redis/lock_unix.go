//go:build unix

package redis

import (
	"os"
	"syscall"
)

// lockFile takes the lock that keeps a second process from the directory. The
// system drops it with the process, however that ends.
func lockFile(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
