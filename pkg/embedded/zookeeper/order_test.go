package zookeeper_test

import (
	"math/rand/v2"
	"sync"
	"testing"

	"eshop/pkg/embedded/zookeeper"
)

// A client may send its next requests without waiting; the answers come in the order of the requests.
func TestAnswersComeInOrder(t *testing.T) {
	s := start(t, zookeeper.Config{MaxOutstanding: 4})
	c := openRaw(t, s.Addr())
	const n = 3000
	go func() {
		for i := range n {
			switch i % 4 {
			case 0:
				c.send(create, "/n-", []byte{}, open, 2)
			case 1:
				c.send(getChildren, "/zookeeper", false)
			case 2:
				c.send(remove, "/none", -1)
			case 3:
				c.send(exists, "/", true)
			}
		}
	}()
	want, last := int32(1), int64(0)
	for want <= n {
		a, err := c.receive()
		if err != nil {
			t.Fatal(err)
		}
		if a.xid == -1 {
			continue
		}
		if a.xid != want {
			t.Fatalf("answer to request %d, want %d", a.xid, want)
		}
		if a.zxid < last {
			t.Fatalf("zxid went back from %d to %d", last, a.zxid)
		}
		want, last = want+1, a.zxid
	}
}

// A client hears of a change before any answer that shows it, and never loses a watch between the answer that armed it and the event: the
// reader below pipelines reads without pause while others write.
func TestEventComesBeforeTheNewData(t *testing.T) {
	s := start(t, zookeeper.Config{})
	setup := openRaw(t, s.Addr())
	setup.must(create, "/n", []byte{}, open, 0)
	const writes, writers = 300, 3
	var wg sync.WaitGroup
	for range writers {
		w := openRaw(t, s.Addr())
		wg.Go(func() {
			for range writes {
				w.must(setData, "/n", []byte("x"), -1)
			}
		})
	}
	r := openRaw(t, s.Addr())
	const ahead = 8
	for range ahead {
		r.send(getData, "/n", true)
	}
	armedAt := int32(-1) // version at which the watch now armed was set; -1: none armed
	events := 0
	for {
		a, err := r.receive()
		if err != nil {
			t.Fatal(err)
		}
		if a.xid == -1 {
			if armedAt == -1 {
				t.Fatal("an event without an armed watch")
			}
			armedAt = -1
			events++
			continue
		}
		a.body.data()
		version := a.body.stat().Version
		if armedAt != -1 && version != armedAt {
			t.Fatalf("version %d was read before the event that ends version %d", version, armedAt)
		}
		armedAt = version
		if version == writes*writers {
			break
		}
		r.send(getData, "/n", true)
	}
	wg.Wait()
	if events == 0 {
		t.Error("no event at all")
	}
}

// Zxids are unique and rise over all sessions; the czxid of a node can be used as a fencing token.
func TestZxidsRiseOverAllSessions(t *testing.T) {
	s := start(t, zookeeper.Config{})
	var mu sync.Mutex
	seen := map[int64]bool{}
	var wg sync.WaitGroup
	for range 4 {
		c := openRaw(t, s.Addr())
		wg.Go(func() {
			last := int64(0)
			for range 300 {
				a := c.must(create2, "/n-", []byte{}, open, 2+rand.IntN(2))
				path, st := a.body.string(), a.body.stat()
				mu.Lock()
				dup := seen[st.Czxid]
				seen[st.Czxid] = true
				mu.Unlock()
				if dup || st.Czxid <= last || st.Czxid != a.zxid {
					t.Errorf("czxid of %s is %d: seen before %t, previous %d, header %d", path, st.Czxid, dup, last, a.zxid)
				}
				last = st.Czxid
			}
		})
	}
	wg.Wait()
}
