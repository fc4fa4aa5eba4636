package hotcount

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"eshop/pkg/lab"
)

// TestInvariant12KafkaHangs: brokers that do not answer and do not hang up either
// cool nothing. A window is 2 s here, so a clock that ran on would have cooled
// everything soon; the whole way to the partitions' end takes half a minute.
func TestInvariant12KafkaHangs(t *testing.T) {
	t.Parallel()
	k := lab.KafkaNew(t, lab.Linked())
	w := newWorld(t, k.Addrs(), lab.ZooKeeper(t).Addrs(), 4)
	p := w.started("a")
	w.share(p)
	l := w.load(500)
	stop := background(t, l.run)
	hot := w.steadilyHot()
	for _, link := range k.Links() {
		link.Blackhole()
	}
	silent := 5 * time.Second
	if os.Getenv("ESHOP_LONG") != "" {
		silent = 28 * time.Second
	}
	begin := time.Now()
	w.until("it has been silent for long enough", func() error {
		if _, is := w.hotNow()[hot]; !is {
			t.Fatalf("product %d has cooled %v after the brokers fell silent", hot, time.Since(begin))
		}
		if time.Since(begin) < silent {
			return errors.New("not yet")
		}
		return nil
	})
	for _, link := range k.Links() {
		link.Heal()
	}
	w.everyPartitionHas(time.Now().UnixMilli())
	stop()
	w.written()
	w.caughtUp(p)
	p.stop()
	w.check()
}

// TestTransaction: its end has an offset and is never read; products cool all the
// same, and another process takes the partition over.
func TestTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, lab.Kafka(t).Addrs(), lab.ZooKeeper(t).Addrs(), 1)
	p := w.started("a")
	w.share(p)
	conf := sarama.NewConfig()
	conf.Version = sarama.V2_8_0_0
	conf.Producer.Idempotent, conf.Producer.Transaction.ID = true, w.name
	conf.Producer.RequiredAcks, conf.Producer.Return.Successes = sarama.WaitForAll, true
	conf.Net.MaxOpenRequests = 1
	tx, err := sarama.NewSyncProducer(w.brokers, conf)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, tx.Close)
	hits := make([]*sarama.ProducerMessage, 400)
	for i := range hits {
		hits[i] = &sarama.ProducerMessage{Topic: w.name, Value: sarama.ByteEncoder(request(7))}
	}
	for _, err := range []error{tx.BeginTxn(), tx.SendMessages(hits), tx.CommitTxn()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	hot := func(want int) func() error {
		return func() error {
			if n := len(w.hotNow()); n != want {
				return fmt.Errorf("%d are hot", n)
			}
			return nil
		}
	}
	w.until("product 7 is hot", hot(1))
	w.until("product 7 has cooled", hot(0))
	p.stop()
	w.share(w.started("b"))
}
