package kafka_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"eshop/pkg/kafka"
	"eshop/pkg/lab"
)

func TestEnsureTopicsIsIdempotent(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		want := []kafka.Topic{
			{Name: lab.Name(t), Partitions: 3, Replication: 5, Config: map[string]string{"retention.ms": "60000"}},
			{Name: lab.Name(t)},
		}
		var created [2]int
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				got, err := kafka.EnsureTopics(t.Context(), c.config(), want, kafka.Deps{})
				if err != nil || len(got) != 2 {
					t.Errorf("got %v %v, want both topics", got, err)
					return
				}
				if got[0].Partitions != 3 || got[0].Replication < 1 || got[0].Replication > 3 {
					t.Errorf("got %+v, want 3 partitions and no more replicas than brokers", got[0])
				}
				mu.Lock()
				defer mu.Unlock()
				for i, r := range got {
					if r.Created {
						created[i]++
					}
				}
			})
		}
		wg.Wait()
		if created != [2]int{1, 1} {
			t.Errorf("created: got %v, want each once", created)
		}
	})
}

// On real brokers only: the embedded one accepts any name and any setting.
func TestEnsureTopicsNamesEachProblem(t *testing.T) {
	servers := lab.Kafka(t)
	noLeaks(t)
	c := cluster{brokers: servers.Addrs()}
	bad, ok := lab.Name(t), lab.Name(t)
	got, err := kafka.EnsureTopics(t.Context(), c.config(), []kafka.Topic{{Name: bad, Config: map[string]string{"retention.ms": "soon"}}, {Name: ok, Partitions: 1}}, kafka.Deps{})
	if err == nil || !strings.Contains(err.Error(), bad) || len(got) != 1 || got[0].Name != ok {
		t.Errorf("got %v %v, want the good topic and an error about the bad one", got, err)
	}
}

func TestPing(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		if err := kafka.Ping(t.Context(), c.config()); err != nil {
			t.Errorf("got %v, want an answer", err)
		}
		half := c
		half.brokers = append([]string{refused(t)}, c.brokers...)
		if err := kafka.Ping(t.Context(), half.config()); err != nil {
			t.Errorf("with a dead address first: got %v, want an answer", err)
		}
	})
	dead := refused(t)
	if err := kafka.Ping(t.Context(), kafka.Config{Brokers: []string{dead}}); err == nil || !strings.Contains(err.Error(), dead) {
		t.Errorf("nobody there: got %v, want an error with the address", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := kafka.Ping(ctx, kafka.Config{Brokers: []string{dead}}); err == nil {
		t.Error("ended context: got nil, want an error")
	}
}
