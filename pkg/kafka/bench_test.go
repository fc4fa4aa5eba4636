package kafka_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"eshop/pkg/kafka"
	"eshop/pkg/lab"
)

// fill writes n records of the given size to a new topic of 8 partitions.
func fill(b *testing.B, c cluster, n, size int) string {
	b.Helper()
	topic := lab.Name(b)
	if _, err := kafka.EnsureTopics(b.Context(), c.config(), []kafka.Topic{{Name: topic, Partitions: 8, Replication: 1, Config: map[string]string{"min.insync.replicas": "1"}}}, kafka.Deps{}); err != nil {
		b.Fatal(err)
	}
	p, err := kafka.NewProducer(kafka.ProducerConfig{Config: c.config(), MaxRecords: 100_000, MaxBytes: 128 << 20, Acks: kafka.AcksLeader}, kafka.Deps{})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	defer func() {
		cancel()
		<-done
	}()
	value := bytes.Repeat([]byte("x"), size)
	for i := range n {
		r := kafka.Record{Topic: topic, Key: fmt.Append(nil, i), Value: value}
		for !p.Offer(r) {
			<-time.After(5 * time.Millisecond)
		}
	}
	for p.Status().Acked < uint64(n) {
		<-time.After(5 * time.Millisecond)
	}
	return topic
}

// cpu is what this process has used so far, in user mode and in the kernel.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// counting reads and counts, nothing else.
type counting struct {
	read atomic.Int64
	want int64
	all  chan struct{}
}

func (c *counting) Start(int32) (time.Time, int64) { return time.Time{}, -1 }

func (c *counting) Hold(ctx context.Context, p *kafka.Assigned) {
	buf := make([]kafka.Record, 1024)
	for {
		n, ok := p.Read(nil, buf)
		if !ok {
			return
		}
		if c.read.Add(int64(n)) == c.want {
			close(c.all)
		}
	}
}

// BenchmarkGroupReader reads a backlog of b.N records of 600 bytes, 8
// partitions on real brokers: -benchtime 1000000x. The figure to look at is the
// processor time of this process for each record.
func BenchmarkGroupReader(b *testing.B) {
	c := cluster{brokers: lab.Kafka(b).Addrs()}
	topic := fill(b, c, b.N, 600)
	b.ReportAllocs()
	h := &counting{want: int64(b.N), all: make(chan struct{})}
	r, err := kafka.NewGroupReader(kafka.GroupReaderConfig{Config: c.config(), Group: lab.Name(b), Topic: topic}, h, kafka.Deps{})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	b.ResetTimer()
	before := cpu(b)
	go func() { done <- r.Run(ctx) }()
	<-h.all
	used := cpu(b) - before
	b.StopTimer()
	b.ReportMetric(float64(used.Nanoseconds())/float64(b.N), "cpu-ns/record")
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// BenchmarkGroupReaderLatency is the way of one record over an idle partition,
// from Send to the Read that hands it over; the acknowledgement by all replicas,
// which a record needs before it can be read, is shown beside it.
func BenchmarkGroupReaderLatency(b *testing.B) {
	c := cluster{brokers: lab.Kafka(b).Addrs()}
	topic := lab.Name(b)
	if _, err := kafka.EnsureTopics(b.Context(), c.config(), []kafka.Topic{{Name: topic, Partitions: 8, Replication: 3}}, kafka.Deps{}); err != nil {
		b.Fatal(err)
	}
	p, err := kafka.NewProducer(kafka.ProducerConfig{Config: c.config()}, kafka.Deps{})
	if err != nil {
		b.Fatal(err)
	}
	h := arriving(make(chan time.Time, 1))
	r, err := kafka.NewGroupReader(kafka.GroupReaderConfig{Config: c.config(), Group: topic, Topic: topic}, h, kafka.Deps{})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { _ = p.Run(ctx) })
	wg.Go(func() { _ = r.Run(ctx) })
	send := func(i int) (acked, read time.Duration) {
		began := time.Now()
		if err := p.Send(ctx, kafka.Record{Topic: topic, Key: fmt.Append(nil, i), Value: []byte("v")}); err != nil {
			b.Fatal(err)
		}
		acked = time.Since(began)
		return acked, (<-h).Sub(began)
	}
	for i := range 20 {
		send(i)
	}
	acks, reads := make([]time.Duration, b.N), make([]time.Duration, b.N)
	for i := range b.N {
		acks[i], reads[i] = send(i)
		<-time.After(5 * time.Millisecond)
	}
	slices.Sort(acks)
	slices.Sort(reads)
	b.ReportMetric(float64(acks[b.N/2].Microseconds()), "ack-p50-µs")
	b.ReportMetric(float64(acks[b.N*99/100].Microseconds()), "ack-p99-µs")
	b.ReportMetric(float64(reads[b.N/2].Microseconds()), "read-p50-µs")
	b.ReportMetric(float64(reads[b.N*99/100].Microseconds()), "read-p99-µs")
}

// arriving tells when each record was handed over.
type arriving chan time.Time

func (arriving) Start(int32) (time.Time, int64) { return time.Time{}, -1 }

func (a arriving) Hold(ctx context.Context, p *kafka.Assigned) {
	buf := make([]kafka.Record, 16)
	for n, ok := p.Read(nil, buf); ok; n, ok = p.Read(nil, buf) {
		for range n {
			a <- time.Now()
		}
	}
}
