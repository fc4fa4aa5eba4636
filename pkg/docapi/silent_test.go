package docapi_test

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/docapi"
	"eshop/pkg/ring"
)

// waits is an origin that takes longer than anybody's patience.
type waits struct{}

func (waits) Load(ctx context.Context, _ docapi.Request) (docapi.Reply, error) {
	<-ctx.Done()
	return docapi.Reply{}, ctx.Err()
}

func (w waits) LoadMany(ctx context.Context, reqs []docapi.Request) []docapi.Result {
	<-ctx.Done()
	return make([]docapi.Result, len(reqs))
}

// ownedBy returns requests for two documents of a member.
func ownedBy(t *testing.T, m *members, id string) []docapi.Request {
	t.Helper()
	var out []docapi.Request
	for n := int64(1); len(out) < 2; n++ {
		if o, _ := m.Ring().Owner(ring.Hash("product", n)); o.ID == id {
			out = append(out, docapi.Request{Key: catalog.Key{Kind: "product", ID: n}})
		}
	}
	return out
}

// A process that is stopped accepts and never answers. It is found by a probe,
// in time to ask the next owner, alone and in a batch, and also when the
// caller's own time ends with the request's.
func TestStoppedMember(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts for it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for _, tc := range []struct {
		name    string
		batch   bool
		timeout time.Duration // of one request
		patient time.Duration // the caller
		answer  bool
	}{
		{"the request's time is up", false, 50 * time.Millisecond, 20 * time.Second, true},
		{"batch", true, 50 * time.Millisecond, 20 * time.Second, true},
		{"two thirds of the caller's time are up", false, time.Minute, 3 * time.Second, true},
		{"batch, two thirds", true, time.Minute, 3 * time.Second, true},
		{"nothing of the caller's time is left", false, time.Minute, 60 * time.Millisecond, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			src := &fixed{docs: map[catalog.Key]docapi.Reply{}}
			m := &members{list: []ring.Member{{ID: "stopped", Addr: l.Addr().String()}, {ID: "well", Addr: serve(t, src, "")}}}
			reqs := ownedBy(t, m, "stopped")
			for _, q := range reqs {
				src.docs[q.Key] = live("product", q.Key.ID, "{}")
			}
			c := docapi.NewClient(docapi.ClientConfig{Timeout: tc.timeout}, m, docapi.Deps{})
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), tc.patient)
			defer cancel()
			var got error
			if tc.batch {
				got = c.GetMany(ctx, reqs)[1].Err
			} else {
				_, got = c.Get(ctx, reqs[0])
			}
			if (got == nil) != tc.answer {
				t.Errorf("got %v, want an answer of the next owner: %v", got, tc.answer)
			}
			if !slices.Contains(m.out, "stopped") || slices.Contains(m.out, "well") {
				t.Errorf("%v were ejected, want the stopped member alone", m.out)
			}
		})
	}
}

// Requests that wait for a slow origin time out; the member answers its probe,
// although every connection for requests is taken, and keeps its keys.
func TestSlowOriginEjectsNobody(t *testing.T) {
	m := &members{list: []ring.Member{{ID: "a", Addr: serve(t, waits{}, "")}, {ID: "b", Addr: serve(t, waits{}, "")}}}
	c := docapi.NewClient(docapi.ClientConfig{Timeout: 100 * time.Millisecond, Connections: 1}, m, docapi.Deps{})
	defer c.Close()
	reqs := ownedBy(t, m, "a")
	done := make(chan error)
	for range 10 {
		go func() {
			_, err := c.Get(t.Context(), reqs[0])
			done <- err
		}()
	}
	for range 10 {
		if err := <-done; err == nil {
			t.Error("an answer came from nowhere")
		}
	}
	if len(m.out) != 0 {
		t.Errorf("%v were ejected for a slow origin", m.out)
	}
}
