package hotcount

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/kafka"
	"eshop/pkg/lab"
	"eshop/pkg/lifecycle"
	"eshop/pkg/zookeeper"
)

// childVariable makes the test binary a hotcount process of its own, which the
// parent kills; its value is a childConfig in JSON.
const childVariable = "ESHOP_HOTCOUNT_TEST_CHILD"

type childConfig struct {
	ID, Name    string
	Brokers, ZK []string
}

func child() int {
	var c childConfig
	if err := json.Unmarshal([]byte(os.Getenv(childVariable)), &c); err != nil {
		fmt.Println(err)
		return 1
	}
	ready := new(lifecycle.Ready)
	role, err := New(Config{
		ID: c.ID, Kafka: kafka.Config{Brokers: c.Brokers}, ZooKeeper: zookeeper.Config{Servers: c.ZK, Root: "/" + c.Name, SessionTimeout: 4 * time.Second},
		TopicAccess: c.Name, Group: c.Name, SessionTimeout: 6 * time.Second, Rule: quickRule(),
	}, Deps{Registry: prometheus.NewRegistry(), Ready: ready})
	if err == nil {
		err = role.Run(context.Background())
	}
	fmt.Println(err)
	return 1
}

// spawn starts a process of its own; the returned function kills it.
func (w *world) spawn(id string) (kill func()) {
	w.t.Helper()
	text, err := json.Marshal(childConfig{ID: id, Name: w.name, Brokers: w.brokers, ZK: w.zk})
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childVariable+"="+string(text))
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	kill = func() {
		_ = cmd.Process.Kill()
		_, _ = cmd.Process.Wait()
	}
	w.t.Cleanup(kill)
	return kill
}

// TestInvariant11Crashes kills processes with SIGKILL under load and starts
// others in their place: once in a normal run, 20 times when ESHOP_LONG is set.
// Every list published meanwhile is what the log says.
func TestInvariant11Crashes(t *testing.T) {
	t.Parallel()
	rounds := 1
	if os.Getenv("ESHOP_LONG") != "" {
		rounds = 20
	}
	w := newWorld(t, lab.Kafka(t).Addrs(), lab.ZooKeeper(t).Addrs(), 4)
	l := w.load(500)
	stop := background(t, l.run)
	killA := w.spawn("a")
	w.takenOver(0)
	hot := w.steadilyHot()
	killB := w.spawn("b")
	begin := time.Now()
	for round := range rounds {
		w.takenOver(w.newest())
		select { // somewhere between two publications
		case <-time.After(rand.N(3 * time.Second)):
		case <-t.Context().Done():
		}
		if round%2 == 0 {
			killA()
			w.takenOver(w.newest())
			killA = w.spawn("a")
		} else {
			killB()
			w.takenOver(w.newest())
			killB = w.spawn("b")
		}
	}
	w.takenOver(w.newest())
	took := time.Since(begin)
	stop()
	end := time.Now()
	w.written()
	w.everyPartitionHas(end.UnixMilli())
	killA()
	killB()
	hots, tops := w.check()
	w.checkSteady(hots, hot, end)
	t.Logf("%d kills in %v; %d hits in %d records; %d hot lists and %d rankings are as the log says",
		rounds, took.Round(time.Second), l.hits.Load(), l.records.Load(), len(hots), len(tops))
}

// newest is the highest generation that has published.
func (w *world) newest() (generation int64) {
	hots, _ := w.seen()
	for _, list := range hots {
		generation = max(generation, list.Generation)
	}
	return generation
}

// takenOver waits until every partition has been claimed after the given
// generation and has published both its lists.
func (w *world) takenOver(after int64) {
	w.t.Helper()
	w.until("every partition has a new holder", func() error {
		hots, tops := w.seen()
		hot, top := map[int32]bool{}, map[int32]bool{}
		for _, list := range hots {
			hot[list.Partition] = hot[list.Partition] || list.Generation > after
		}
		for _, list := range tops {
			top[list.Partition] = top[list.Partition] || list.Generation > after
		}
		for p := range int32(w.partitions) {
			if !hot[p] || !top[p] {
				return fmt.Errorf("partition %d has none: hot %v, top %v", p, hot, top)
			}
		}
		return nil
	})
}

// everyPartitionHas waits until every partition has published a ranking with a
// watermark from the given time on, in ms since 1970.
func (w *world) everyPartitionHas(watermark int64) {
	w.t.Helper()
	w.until("every partition has published since", func() error {
		_, tops := w.seen()
		have := map[int32]bool{}
		for _, list := range tops {
			have[list.Partition] = have[list.Partition] || list.Watermark >= watermark
		}
		if len(have) < w.partitions {
			return fmt.Errorf("only partitions %v", have)
		}
		for p, ok := range have {
			if !ok {
				return fmt.Errorf("partition %d has not", p)
			}
		}
		return nil
	})
}
