package redis

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc64"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// A snapshot is: the magic line; for each key, the one used longest ago first,
// a type byte, the key, the expiry (unix ms, 0 for never), a count and as many
// texts; a zero byte; the CRC-64/ECMA of all before it, 8 bytes big-endian.
// Numbers are unsigned varints, texts a length and the bytes.
const (
	snapshotName  = "redis.snapshot"
	snapshotMagic = "eshop redis snapshot 1\n"

	endOfKeys = 0
	maxText   = 512 << 20 // as long as a Redis string can be
)

// value is one key of a snapshot. texts are the string; or field, value, …; or
// the members; or member, score, ….
type value struct {
	kind    byte // s string, h hash, l list, e set, z sorted set
	key     string
	expires int64
	texts   []string
}

var errSnapshot = errors.New("the snapshot is damaged")

// save writes all keys to dir, atomically: readers of the directory find the
// old snapshot or the new one. Each key is consistent in itself.
func (g *guard) save(dir string) (err error) {
	f, err := os.CreateTemp(dir, snapshotName+".*")
	if err != nil {
		return fmt.Errorf("save the embedded redis: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("save the embedded redis to %s: %w", dir, err)
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	sum := crc64.New(crc64.MakeTable(crc64.ECMA))
	w := &snapshotWriter{Writer: bufio.NewWriterSize(io.MultiWriter(f, sum), 1<<16)}
	w.text(snapshotMagic, false)
	now := time.Now()
	for _, key := range g.usage.all() {
		v, ok, err := g.read(key, now)
		if err != nil {
			return err
		}
		if ok {
			w.value(v)
		}
	}
	w.byte(endOfKeys)
	if w.err == nil {
		w.err = w.Flush()
	}
	if w.err != nil {
		return w.err
	}
	if _, err = f.Write(binary.BigEndian.AppendUint64(nil, sum.Sum64())); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), filepath.Join(dir, snapshotName)); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// read takes one key out of miniredis in one step; false if it is gone or of a
// type that is not kept.
func (g *guard) read(key string, now time.Time) (value, bool, error) {
	v := value{key: key}
	var ask []string
	switch g.db.Type(key) {
	case "string":
		v.kind, ask = 's', []string{"GET", key}
	case "hash":
		v.kind, ask = 'h', []string{"HGETALL", key}
	case "list":
		v.kind, ask = 'l', []string{"LRANGE", key, "0", "-1"}
	case "set":
		v.kind, ask = 'e', []string{"SMEMBERS", key}
	case "zset":
		v.kind, ask = 'z', []string{"ZRANGE", key, "0", "-1", "WITHSCORES"}
	default:
		return v, false, nil
	}
	if ttl := g.db.TTL(key); ttl > 0 {
		v.expires = now.Add(ttl).UnixMilli()
	}
	reply, err := g.ask(ask...)
	if err != nil {
		return v, false, fmt.Errorf("read %q: %w", key, err)
	}
	switch r := reply.(type) {
	case string:
		v.texts = []string{r}
	case []any:
		for _, e := range r {
			text, ok := e.(string)
			if !ok {
				return v, false, fmt.Errorf("read %q: an element is a %T", key, e)
			}
			v.texts = append(v.texts, text)
		}
	}
	return v, len(v.texts) > 0, nil
}

// load fills an empty server from dir; a missing snapshot is an empty one.
func (g *guard) load(dir string) (keys int, err error) {
	f, err := os.Open(filepath.Join(dir, snapshotName))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("load the embedded redis: %w", err)
	}
	defer f.Close()
	values, err := readSnapshot(f)
	if err != nil {
		return 0, fmt.Errorf("load the embedded redis from %s: %w", f.Name(), err)
	}
	now := time.Now()
	for _, v := range values {
		if v.expires > 0 && v.expires <= now.UnixMilli() {
			continue
		}
		if err := restore(g.db, v); err != nil {
			return keys, fmt.Errorf("load the embedded redis from %s: key %q: %w", f.Name(), v.key, err)
		}
		if v.expires > 0 {
			g.db.SetTTL(v.key, time.UnixMilli(v.expires).Sub(now))
		}
		g.measure([]string{v.key}, 0)
		g.evict()
		keys++
	}
	return keys, nil
}

func restore(db *miniredis.RedisDB, v value) (err error) {
	switch v.kind {
	case 's':
		err = db.Set(v.key, v.texts[0])
	case 'h':
		db.HSet(v.key, v.texts...)
	case 'l':
		_, err = db.Push(v.key, v.texts...)
	case 'e':
		_, err = db.SetAdd(v.key, v.texts...)
	case 'z':
		for i := 0; i < len(v.texts); i += 2 {
			score, e := strconv.ParseFloat(v.texts[i+1], 64)
			if e != nil || math.IsNaN(score) {
				return fmt.Errorf("%w: the score %.40q", errSnapshot, v.texts[i+1])
			}
			if _, err = db.ZAdd(v.key, score, v.texts[i]); err != nil {
				return err
			}
		}
	}
	return err
}

// snapshotWriter keeps the first error.
type snapshotWriter struct {
	*bufio.Writer
	err error
}

func (w *snapshotWriter) byte(b byte) {
	if w.err == nil {
		w.err = w.WriteByte(b)
	}
}

func (w *snapshotWriter) number(n uint64) {
	if w.err == nil {
		_, w.err = w.Write(binary.AppendUvarint(nil, n))
	}
}

func (w *snapshotWriter) text(s string, length bool) {
	if length {
		w.number(uint64(len(s)))
	}
	if w.err == nil {
		_, w.err = w.WriteString(s)
	}
}

func (w *snapshotWriter) value(v value) {
	w.byte(v.kind)
	w.text(v.key, true)
	w.number(uint64(v.expires))
	w.number(uint64(len(v.texts)))
	for _, t := range v.texts {
		w.text(t, true)
	}
}

// readSnapshot decodes a snapshot. Memory stays within a small multiple of what
// was read, whatever lengths the bytes claim.
func readSnapshot(from io.Reader) ([]value, error) {
	r := &snapshotReader{from: bufio.NewReaderSize(from, 1<<16), sum: crc64.New(crc64.MakeTable(crc64.ECMA))}
	if magic := r.bytes(uint64(len(snapshotMagic))); string(magic) != snapshotMagic {
		return nil, fmt.Errorf("%w: it does not begin as one", errSnapshot)
	}
	var out []value
	for {
		v := value{kind: r.byte()}
		if r.err == nil && v.kind == endOfKeys {
			break
		}
		v.key = r.text()
		v.expires = int64(min(r.number(), math.MaxInt64))
		n := r.number()
		for i := uint64(0); i < n && r.err == nil; i++ {
			v.texts = append(v.texts, r.text())
		}
		if r.err != nil {
			return nil, fmt.Errorf("%w: key %d: %v", errSnapshot, len(out)+1, r.err)
		}
		if !v.valid() {
			return nil, fmt.Errorf("%w: key %d has the type %q with %d texts", errSnapshot, len(out)+1, v.kind, n)
		}
		out = append(out, v)
	}
	want := r.sum.Sum64()
	var tail [8]byte
	if _, err := io.ReadFull(r.from, tail[:]); err != nil || binary.BigEndian.Uint64(tail[:]) != want {
		return nil, fmt.Errorf("%w: its checksum does not fit", errSnapshot)
	}
	return out, nil
}

func (v value) valid() bool {
	n := len(v.texts)
	switch v.kind {
	case 's':
		return n == 1
	case 'h', 'z':
		return n > 0 && n%2 == 0
	case 'l', 'e':
		return n > 0
	}
	return false
}

type snapshotReader struct {
	from *bufio.Reader
	sum  hash.Hash64
	err  error
}

func (r *snapshotReader) byte() byte {
	if b := r.bytes(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (r *snapshotReader) number() uint64 {
	var n uint64
	for shift := 0; shift < 64; shift += 7 {
		b := r.byte()
		n |= uint64(b&0x7f) << shift
		if b < 0x80 || r.err != nil {
			return n
		}
	}
	r.err = errors.New("a number is too long")
	return 0
}

func (r *snapshotReader) text() string { return string(r.bytes(r.number())) }

// bytes reads n bytes in steps, so that a false length costs no memory.
func (r *snapshotReader) bytes(n uint64) []byte {
	if r.err == nil && n > maxText {
		r.err = fmt.Errorf("a text has %d bytes", n)
	}
	var out []byte
	for r.err == nil && n > 0 {
		step := min(n, 1<<20)
		at := len(out)
		out = append(out, make([]byte, step)...)
		if _, r.err = io.ReadFull(r.from, out[at:]); r.err != nil {
			return nil
		}
		n -= step
	}
	_, _ = r.sum.Write(out)
	return out
}
