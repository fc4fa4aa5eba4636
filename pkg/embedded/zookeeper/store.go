package zookeeper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// store is the data directory: a lock, the epoch and the last snapshot. Each file is replaced as a whole: written beside its place,
// synced, renamed, and the directory synced, so a crash leaves the old or the new one.
type store struct {
	dir  string
	lock *os.File
}

const (
	lockName     = "lock"
	epochName    = "epoch"
	snapshotName = "snapshot"
)

func openStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the data directory: %w", err)
	}
	lock, err := lockFile(filepath.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("the data directory %s is in use by another process: %w", dir, err)
	}
	return &store{dir: dir, lock: lock}, nil
}

func (st *store) close() error { return st.lock.Close() }

// readEpoch gives 0 when there is none yet.
func (st *store) readEpoch() (int64, error) {
	path := filepath.Join(st.dir, epochName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the epoch: %w", err)
	}
	epoch, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 32)
	if err != nil || epoch < 0 {
		return 0, fmt.Errorf("read the epoch: %s holds %q instead of a number", path, b)
	}
	return epoch, nil
}

func (st *store) writeEpoch(epoch int64) error {
	if err := st.replace(epochName, []byte(strconv.FormatInt(epoch, 10)+"\n")); err != nil {
		return fmt.Errorf("write the epoch: %w", err)
	}
	return nil
}

func (st *store) replace(name string, content []byte) (err error) {
	path := filepath.Join(st.dir, name)
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return st.syncDir()
}

// syncDir makes a rename durable. Windows cannot sync a directory and does not need it.
func (st *store) syncDir() error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(st.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
