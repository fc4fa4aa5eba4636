package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"eshop/pkg/kafka"
)

const childRole = "ESHOP_KAFKA_TEST_CHILD"

// child is what a process does that the parent kills or pauses: the words of
// the variable are the kind of member, the brokers, the topic, which is also the
// group, and what that kind wants.
func child() int {
	part := strings.Split(os.Getenv(childRole), " ")
	brokers, topic := strings.Split(part[1], ","), part[2]
	if part[0] == "reader" {
		return groupReaderChild(brokers, topic)
	}
	return groupChild(brokers, topic, part[3])
}

// groupChild appends the number of each record it applies to a file, and fails at random.
func groupChild(brokers []string, topic, path string) int {
	out, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	handle := func(ctx context.Context, r kafka.Record) error {
		<-time.After(time.Duration(rand.IntN(4)) * time.Millisecond)
		if rand.IntN(5) == 0 {
			return errors.New("a random failure")
		}
		_, err := fmt.Fprintf(out, "%d/%d\n", r.Partition, r.Offset)
		return err
	}
	g, err := kafka.NewGroup(kafka.GroupConfig{
		Config: kafka.Config{Brokers: brokers}, Group: topic, Topic: topic, Parallel: 8,
		Backoff: kafka.Backoff{Min: time.Millisecond, Max: 20 * time.Millisecond}, CommitInterval: 5 * time.Millisecond, SessionTimeout: 6 * time.Second,
	}, byValue, handle, kafka.Deps{})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if err := g.Run(context.Background()); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// A member is killed with SIGKILL in the middle of its work, twice: what is
// committed was applied, and everything is applied in the end.
func TestGroupCrashCommitsOnlyWhatIsApplied(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 3)
		const n = 2000
		p := c.producer(t, kafka.ProducerConfig{})
		for i := range n {
			if !p.Offer(kafka.Record{Topic: topic, Value: fmt.Appendf(nil, "k%d:%d", i%50, i)}) {
				t.Fatal(p.Dropped())
			}
		}
		until(t, 30*time.Second, "all are written", func() bool { return p.Status().Acked == n })
		admin := c.admin(t)
		path := t.TempDir() + "/applied"
		applied := func() map[string]bool {
			b, _ := os.ReadFile(path)
			out := make(map[string]bool)
			for line := range strings.Lines(string(b)) {
				if strings.HasSuffix(line, "\n") {
					out[strings.TrimSpace(line)] = true
				}
			}
			return out
		}
		for round, target := range []int{n / 4, n / 2, n} {
			cmd := exec.Command(os.Args[0], "-test.run=^$")
			cmd.Env = append(os.Environ(), childRole+"="+strings.Join([]string{"group", strings.Join(c.brokers, ","), topic, path}, " "))
			cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			kill := func() { _ = cmd.Process.Kill(); _, _ = cmd.Process.Wait() }
			t.Cleanup(kill)
			until(t, 60*time.Second, fmt.Sprintf("%d are applied", target), func() bool { return len(applied()) >= target })
			kill()
			resp, err := admin.ListConsumerGroupOffsets(topic, map[string][]int32{topic: {0, 1, 2}})
			if err != nil {
				t.Fatal(err)
			}
			done, committed := applied(), int64(0)
			for id := range int32(3) {
				end := resp.GetBlock(topic, id).Offset
				committed += max(0, end)
				for o := range max(0, end) {
					if !done[fmt.Sprintf("%d/%d", id, o)] {
						t.Errorf("round %d: partition %d is committed up to %d, but offset %d was not applied", round, id, end, o)
					}
				}
			}
			t.Logf("round %d: killed with %d applied, %d committed", round, len(done), committed)
		}
	})
}
