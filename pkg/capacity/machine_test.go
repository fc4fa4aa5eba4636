package capacity

import (
	"testing"
	"time"
)

// TestMachines checks the arithmetic of plans on round figures.
func TestMachines(t *testing.T) {
	m := Machine{Cores: 10, Network: 1e9, Load: 0.5, Spare: 0.2}
	f := Fleet{Gateways: 10, Caches: 5, Rate: 1e6, Products: 1 << 30}.complete()
	l := Levels{L1: 1, Forwarded: 0.5, Pulls: 1000, Refreshed: 1000}
	c := Costs{
		Hit: 10 * time.Microsecond, Forward: 20 * time.Microsecond, Answer: 10 * time.Microsecond,
		Pull: time.Millisecond, PullTime: 40 * time.Millisecond, Pullers: 2, AnswerBytes: 100,
		RedisReads: 1000, RedisBytes: 1 << 40, BrokerSends: 100, BrokerBytes: 1e9,
	}
	for _, v := range []struct {
		name      string
		got, want int
	}{
		{"a load that needs nothing", m.machines(2, 0, 10), 2},
		{"half of 10 used, a fifth away: 4 each", m.machines(2, 40, 10), 10},
		{"and one more for the rest", m.machines(2, 40.1, 10), 11},
		{"20 cores, 4 each", m.gateways(f, c, l), 5},
		{"1000 pulls of 40 ms, 2 at once, 0.8 each", m.caches(c, l), 50},
		{"1 TiB in one of that size", m.masters(f, c, l), 3},
		{"100,000 reads, a master and a replica with 1000 each", m.masters(f, c, Levels{Reads: 1e5}), 125},
		{"400 records, three copies, 40 each", m.brokers(Fleet{}, c, Plan{RecordsPerSecond: 400}), 30},
	} {
		if v.got != v.want {
			t.Errorf("%s: %d machines, want %d", v.name, v.got, v.want)
		}
	}
	c.AnswerBytes = 100_000 // 1.2 Tbit/s with the hop, 0.4 Gbit/s each
	if got := m.gateways(f, c, l); got != 3000 {
		t.Errorf("where the network is the limit: %d gateways, want 3000", got)
	}
	c.RedisBytes = 1 << 30
	if got := m.masters(f, c, l); got != 1024 {
		t.Errorf("where memory is the limit: %d masters, want 1024", got)
	}
}
