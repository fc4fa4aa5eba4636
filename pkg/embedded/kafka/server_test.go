package kafka_test

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	embedded "eshop/pkg/embedded/kafka"
	"eshop/pkg/kafka"
)

func start(t *testing.T, cfg embedded.Config) *embedded.Server {
	t.Helper()
	s, err := embedded.Start(t.Context(), cfg, embedded.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 2 { // closing twice is allowed
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return s
}

func noLeaks(t *testing.T) {
	t.Cleanup(func() {
		goleak.VerifyNone(t, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
	})
}

func producer(t *testing.T, s *embedded.Server) *kafka.Producer {
	t.Helper()
	p, err := kafka.NewProducer(kafka.ProducerConfig{Config: kafka.Config{Brokers: []string{s.Addr()}}}, kafka.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return p
}

func until(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not within %v: %s", limit, what)
		case <-tick.C:
		}
	}
}

func TestStartIsQuickAndSeedsTopics(t *testing.T) {
	noLeaks(t)
	began := time.Now()
	s := start(t, embedded.Config{Topics: []embedded.Topic{{Name: "a", Partitions: 3}, {Name: "b"}}})
	took := time.Since(began)
	t.Logf("start with two topics: %v", took)
	if took > 300*time.Millisecond {
		t.Errorf("start: got %v, want below 300ms", took)
	}
	got, err := kafka.EnsureTopics(t.Context(), kafka.Config{Brokers: []string{s.Addr()}}, []kafka.Topic{{Name: "a"}, {Name: "b"}}, kafka.Deps{})
	if err != nil || len(got) != 2 || got[0].Created || got[0].Partitions != 3 || got[1].Partitions != 1 {
		t.Errorf("topics: got %+v %v, want a with 3 partitions and b with 1, both seeded", got, err)
	}
}

// Two processes, or two servers of one, must not share a directory (36).
func TestDataDirectoryIsLocked36(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	first := start(t, embedded.Config{DataDir: dir})
	_, err := embedded.Start(t.Context(), embedded.Config{DataDir: dir}, embedded.Deps{})
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "another process") {
		t.Errorf("second start: got %v, want an error with the directory", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, embedded.Config{DataDir: dir}) // the lock was given back
}

func TestOccupiedAddress(t *testing.T) {
	noLeaks(t)
	s := start(t, embedded.Config{})
	_, err := embedded.Start(t.Context(), embedded.Config{Addr: s.Addr()}, embedded.Deps{})
	if err == nil || !strings.Contains(err.Error(), s.Addr()) {
		t.Errorf("got %v, want an error with the address", err)
	}
}

func TestTemporaryDirectoryIsRemoved(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	noLeaks(t)
	s := start(t, embedded.Config{})
	inside, _ := os.ReadDir(os.TempDir())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	after, _ := os.ReadDir(os.TempDir())
	if len(inside) != 1 || len(after) != 0 {
		t.Errorf("directories: got %d while running and %d after, want 1 and 0", len(inside), len(after))
	}
}

// Records on disk stay bounded, in a seeded topic and in one that a producer made by writing to it (36).
func TestRetentionBoundsEveryTopic36(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	const bound = 4 << 20
	s := start(t, embedded.Config{DataDir: dir, Partitions: 1, RetentionBytes: bound, CleanEvery: 20 * time.Millisecond, Topics: []embedded.Topic{{Name: "seeded", Partitions: 1}}})
	p := producer(t, s)
	value := make([]byte, 50_000)
	for i := range 800 { // 40 MB into each
		for _, topic := range []string{"seeded", "auto"} {
			if err := p.Send(t.Context(), kafka.Record{Topic: topic, Key: fmt.Append(nil, i), Value: value}); err != nil {
				t.Fatal(err)
			}
		}
	}
	size := func() (n int64) {
		_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				if info, err := d.Info(); err == nil {
					n += info.Size()
				}
			}
			return nil
		})
		return n
	}
	until(t, 10*time.Second, "the directory is within two topics' bounds and a segment each", func() bool { return size() <= 2*bound+2*bound/4+1<<20 })
	t.Logf("80 MB written, %d KiB on disk", size()>>10)
}

// Bytes that are no Kafka request, such as a metrics scrape, end their connection and nothing else.
func TestForeignBytesAreHarmless(t *testing.T) {
	noLeaks(t)
	s := start(t, embedded.Config{})
	for _, in := range []string{"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "\x00\x00\x00\x20\x7f\xff0123456789012345678901234567890123456789", "\xff\xff\xff\xff\xff\xff"} {
		c, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(in)); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || os.IsTimeout(err) {
			t.Errorf("after %q: got %d bytes and %v, want the connection closed", in, n, err)
		}
		_ = c.Close()
	}
	if err := kafka.Ping(t.Context(), kafka.Config{Brokers: []string{s.Addr()}}); err != nil {
		t.Errorf("the server afterwards: %v", err)
	}
}
