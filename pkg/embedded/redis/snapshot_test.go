package redis

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func FuzzReadSnapshot(f *testing.F) {
	dir := f.TempDir()
	s, err := Start(context.Background(), Config{DataDir: dir}, Deps{})
	if err != nil {
		f.Fatal(err)
	}
	for _, cmd := range [][]string{{"SET", "s", "v"}, {"HSET", "h", "b", "{}", "e", "0"}, {"RPUSH", "l", "1", "2"}, {"SADD", "e", "m"}, {"ZADD", "z", "1", "m"}} {
		if _, err := s.ask(cmd...); err != nil {
			f.Fatal(err)
		}
	}
	s.measure([]string{"s", "h", "l", "e", "z"}, 0)
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, snapshotName))
	if err != nil {
		f.Fatal(err)
	}
	if values, err := readSnapshot(bytes.NewReader(data)); err != nil || len(values) != 5 {
		f.Fatalf("the good snapshot: %d values, %v", len(values), err)
	}
	f.Add(data)
	f.Add([]byte(snapshotMagic))
	f.Add(append([]byte(snapshotMagic), 's', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		values, err := readSnapshot(bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, errSnapshot) || values != nil {
				t.Fatalf("got %d values and %v, want none and a damaged snapshot", len(values), err)
			}
			return
		}
		for _, v := range values {
			if !v.valid() {
				t.Fatalf("accepted %+v", v)
			}
		}
	})
}
