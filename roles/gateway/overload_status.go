package gateway

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/admission"
)

// collectors of what was refused and of what is bounded.
func (o *overload) collectors() []prometheus.Collector {
	all := slices.Concat(o.redis.Collectors(), o.lookups.Collectors(), o.cache.Collectors())
	for _, c := range o.refused {
		all = append(all, c)
	}
	return append(all,
		gauge("gateway_beyond_requests", "Requests under way that L1 could not answer.", func() float64 { return float64(o.beyond.Load()) }),
		gauge("gateway_connections", "Open connections of the public listener.", func() float64 { return float64(o.open()) }),
		counterFunc("gateway_connections_refused_total", "Connections closed at once, of both listeners, because there were too many in all or from one address.",
			func() float64 { return float64(o.closed()) }),
		gauge("gateway_unknown_addresses", "Client addresses that have lately asked for ids that do not exist.",
			func() float64 { return float64(o.unknown.rates.Addresses()) }),
		counterFunc("gateway_unknown_addresses_forgotten_total", "Such addresses dropped before their time because the table was full.",
			func() float64 { return float64(o.unknown.rates.Forgotten()) }),
		gauge("gateway_memory_short", "1 while the heap nears GOMEMLIMIT and what is not in L1 is refused.", func() float64 {
			if o.memory.Short() {
				return 1
			}
			return 0
		}))
}

func counterFunc(name, help string, fn func() float64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "eshop_" + name, Help: help}, fn)
}

// open counts the connections of the public listener, closed those that either
// closed at once.
func (o *overload) open() int {
	if l := o.public.Load(); l != nil {
		return l.Open()
	}
	return 0
}

func (o *overload) closed() (n uint64) {
	for _, l := range []*admission.Listener{o.public.Load(), o.peer.Load()} {
		if l != nil {
			n += l.Refused()
		}
	}
	return n
}

// overloadStatus is the admin API's part.
type overloadStatus struct {
	Beyond             int64                      `json:"beyond"` // requests under way that L1 could not answer
	BeyondLimit        int64                      `json:"beyondLimit"`
	Gates              map[string]admission.State `json:"gates"`
	Connections        int                        `json:"connections"`
	ConnectionsRefused uint64                     `json:"connectionsRefused"`
	UnknownAddresses   int                        `json:"unknownAddresses"`
	AddressesForgotten uint64                     `json:"addressesForgotten"`
	MemoryShort        bool                       `json:"memoryShort"`
	MemoryHeld         int64                      `json:"memoryHeldBytes"` // 0 without GOMEMLIMIT
	MemoryLimit        int64                      `json:"memoryLimitBytes"`
}

func (o *overload) status() any {
	return overloadStatus{Beyond: o.beyond.Load(), BeyondLimit: o.limit.Load(),
		Gates:       map[string]admission.State{"redis": o.redis.State(), "lookups": o.lookups.State(), "cache": o.cache.State()},
		Connections: o.open(), ConnectionsRefused: o.closed(),
		UnknownAddresses: o.unknown.rates.Addresses(), AddressesForgotten: o.unknown.rates.Forgotten(),
		MemoryShort: o.memory.Short(), MemoryHeld: o.memory.Held(), MemoryLimit: o.memory.Limit()}
}
