package rediscluster_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"eshop/pkg/catalog"
	"eshop/pkg/rediscluster"
)

// TestDescribe: from one address every node is found, once, with what the others
// say of it; an address that nobody listens on is reported beside them.
func TestDescribe(t *testing.T) {
	onBoth(t, func(t *testing.T, addrs []string) {
		const dead = "127.0.0.1:1"
		reports, err := rediscluster.Describe(t.Context(), rediscluster.Config{Addrs: []string{dead, addrs[0]}}, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if len(reports) != len(addrs)+1 {
			t.Fatalf("got %d reports, want %d nodes and the dead address: %+v", len(reports), len(addrs), reports)
		}
		if r := reports[0]; r.Addr != dead || !r.Given || r.Err == nil || r.Version != "" {
			t.Errorf("the dead address: got %+v", r)
		}
		ids := map[string]bool{}
		for i, r := range reports[1:] {
			if r.Err != nil || !r.Clustered || r.State != "ok" || r.SlotsOK != 16384 || r.Version == "" || r.ID == "" || ids[r.ID] || r.Given != (i == 0) {
				t.Errorf("got %+v, want a healthy node that is listed once", r)
			}
			ids[r.ID] = true
			slots, masters := 0, 0
			for _, m := range r.Members {
				if m.Master {
					masters++
				}
				for _, s := range m.Slots {
					slots += s[1] - s[0] + 1
				}
			}
			if len(r.Members) != len(addrs) || slots != 16384 || masters < 1 {
				t.Errorf("%s sees %d nodes, %d masters, %d slots", r.Addr, len(r.Members), masters, slots)
			}
			if off := r.Clock.Sub(r.Asked); off < -time.Second || off > time.Minute || r.Answered.Before(r.Asked) {
				t.Errorf("the clock of this machine: asked %v, told %v", r.Asked, r.Clock)
			}
			if (r.SettingsErr == nil) == (r.Settings["cluster-node-timeout"] == "") {
				t.Errorf("settings: got %v and the error %v", r.Settings, r.SettingsErr)
			}
		}
	})
}

func TestDescribeWantsAddresses(t *testing.T) {
	if _, err := rediscluster.Describe(t.Context(), rediscluster.Config{}, time.Now); err == nil {
		t.Error("no address is no error")
	}
}

// TestDiscard: nothing is left of a document, its stamp included.
func TestDiscard(t *testing.T) {
	onBoth(t, func(t *testing.T, addrs []string) {
		s, _ := open(t, rediscluster.Config{Addrs: addrs}, shop(t))
		write(t, s, rediscluster.Put, doc(7, 20, 20, `{"id":7}`))
		for range 2 { // what is not there can be discarded, too
			if err := s.Discard(t.Context(), product(7)); err != nil {
				t.Fatal(err)
			}
			if d := get(t, s, product(7), rediscluster.FromMaster); d.State != catalog.Absent {
				t.Errorf("got %+v, want nothing", d)
			}
		}
		if o := write(t, s, rediscluster.Put, doc(7, 10, 10, `{"id":7}`)); !o.Accepted {
			t.Errorf("a lower stamp after it: got %+v, want it accepted", o)
		}
	})
}

func TestParseNodes(t *testing.T) {
	const text = "bb 10.0.0.2:7002@17002,host myself,slave aa 0 0 3 connected\n" +
		"aa 10.0.0.1:7001@17001 master - 0 0 3 connected 0-5460 5462 [5461->-bb]\n" +
		"cc :0@0 master,fail,noaddr - 0 0 2 disconnected\n" +
		"dd 10.0.0.4:7004@17004 handshake - 0 0 0 connected\n" +
		"ee 10.0.0.5:7005@17005 master,fail? - 0 0 4 connected 5463-99999 x-y\n\nvars currentEpoch 6\n"
	got, self := rediscluster.ParseNodes(text)
	want := []rediscluster.MemberView{
		{ID: "aa", Addr: "10.0.0.1:7001", Master: true, Epoch: 3, Slots: [][2]int{{0, 5460}, {5462, 5462}}},
		{ID: "bb", Addr: "10.0.0.2:7002", MasterID: "aa", Epoch: 3},
		{ID: "cc", Master: true, Failed: true, Epoch: 2},
		{ID: "ee", Addr: "10.0.0.5:7005", Master: true, Suspect: true, Epoch: 4},
	}
	if diff := cmp.Diff(want, got); diff != "" || self != "bb" {
		t.Errorf("self %q, want bb (-want +got):\n%s", self, diff)
	}
}

func FuzzParseNodes(f *testing.F) {
	f.Add("aa 10.0.0.1:7001@17001 master - 0 0 3 connected 0-5460 5462 [5461->-bb]\n")
	f.Fuzz(func(t *testing.T, text string) {
		members, _ := rediscluster.ParseNodes(text)
		for _, m := range members {
			for _, s := range m.Slots {
				if s[0] < 0 || s[0] > s[1] || s[1] > 16383 {
					t.Errorf("slots %v", s)
				}
			}
		}
	})
}
