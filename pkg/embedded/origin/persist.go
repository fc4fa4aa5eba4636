package origin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"eshop/pkg/catalog"
)

const fileName = "sample-origin.json"

// disk serialises the writing of the edits' file. Edits that come while one is
// written share the next write.
type disk struct {
	mu      sync.Mutex
	written uint64 // store.generation of the file
}

// file is the form of the edits on disk.
type file struct {
	Format int          `json:"format"` // 1
	Edits  []editOnDisk `json:"edits"`
}

type editOnDisk struct {
	Kind     string          `json:"kind"`
	ID       int64           `json:"id"`
	Fresh    bool            `json:"fresh,omitempty"`
	Gone     bool            `json:"gone,omitempty"`
	Modified time.Time       `json:"modified,omitzero"`
	Fields   json.RawMessage `json:"fields,omitempty"`
}

func (s *Server) load() error {
	path := filepath.Join(s.cfg.DataDir, fileName)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the sample origin's edits: %w", err)
	}
	var f file
	if err := json.Unmarshal(raw, &f); err != nil {
		return fmt.Errorf("read the sample origin's edits from %s: %w; remove the file to begin anew", path, err)
	}
	if f.Format != 1 {
		return fmt.Errorf("read the sample origin's edits from %s: its format %d is not known here, only 1 is", path, f.Format)
	}
	for _, on := range f.Edits {
		if on.Kind != kindProduct && on.Kind != kindShop || on.ID <= 0 {
			return fmt.Errorf("read the sample origin's edits from %s: it has an edit of %s/%d", path, on.Kind, on.ID)
		}
		e := &edit{fresh: on.Fresh, gone: on.Gone, modified: on.Modified}
		if len(on.Fields) > 0 {
			if e.over, err = parse(on.Fields); err != nil {
				return fmt.Errorf("read the sample origin's edit of %s/%d from %s: %w", on.Kind, on.ID, path, err)
			}
		}
		if err := s.store.keep(catalog.Key{Kind: on.Kind, ID: on.ID}, e); err != nil {
			return fmt.Errorf("read the sample origin's edits from %s: %w", path, err)
		}
	}
	s.disk.written = s.store.generation
	return nil
}

// save returns once every edit made before the call is in the file.
func (s *Server) save() error {
	if s.cfg.DataDir == "" {
		return nil
	}
	s.store.mu.RLock()
	mine := s.store.generation
	s.store.mu.RUnlock()
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	if s.disk.written >= mine {
		return nil // the write this call waited for had it
	}
	raw, generation, err := s.store.snapshot()
	if err == nil {
		err = replace(filepath.Join(s.cfg.DataDir, fileName), raw)
	}
	if err != nil {
		return fmt.Errorf("store the sample origin's edits: %w", err)
	}
	s.disk.written = generation
	return nil
}

func (s *store) snapshot() ([]byte, uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	f := file{Format: 1, Edits: make([]editOnDisk, 0, len(s.edits))}
	for k, e := range s.edits {
		on := editOnDisk{Kind: k.Kind, ID: k.ID, Fresh: e.fresh, Gone: e.gone, Modified: e.modified}
		if len(e.over) > 0 {
			on.Fields = e.over.encode()
		}
		f.Edits = append(f.Edits, on)
	}
	raw, err := json.Marshal(f)
	return raw, s.generation, err
}

// replace writes a file so that a crash leaves the old content or the new.
func replace(path string, content []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(content)
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
	}
	return err
}
