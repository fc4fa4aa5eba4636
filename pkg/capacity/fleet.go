package capacity

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"time"

	"eshop/pkg/accesslog"
	"eshop/pkg/hotlist"
	"eshop/pkg/ring"
)

// Fleet is what is simulated. A zero field takes the value in brackets, which for
// a setting is the product's default.
type Fleet struct {
	Gateways int     // [1,000]
	Products int64   // [100 M]; ids go from 1, the most popular
	Rate     float64 // requests a second, all gateways together [10 M]
	Exponent float64 // of the Zipf distribution of products [1.0]
	Seed     uint64  // of all random choices

	L1Bytes    int64         // of a gateway [256 MiB]
	SoftTTLMin time.Duration // of a gateway's copy [10 min]
	SoftTTLMax time.Duration // [20 min]

	Caches     int           // processes of the cache role [50]
	CacheBytes int64         // memory of one [128 MiB]
	Refresh    time.Duration // age at which a document that is read is pulled again [1 h]
	RedisTTL   time.Duration // how long Redis keeps a document [90 days]

	Partitions    int   // of the access log's topic [12]
	HotcountBytes int64 // memory of a hotcount process [64 MiB]
	Rule          hotlist.Rule

	Page            int64 // bytes of a page with all of its forms [12.5 KiB: 10 KiB, and gzip]
	Document        int64 // bytes of a document [1 KiB]
	ProductsPerShop int64 // [1,000]

	// Sample is how many gateways are simulated, each with all that it is asked
	// for [2].
	Sample int
	// Warm is the simulated time before anything is measured, Measure that of
	// the measurement [20 min, 5 min].
	Warm, Measure time.Duration
	// Follow is the simulated time after a change of the gateways [10 min].
	Follow time.Duration
}

func (f Fleet) complete() Fleet {
	f.Gateways = cmp.Or(f.Gateways, 1000)
	f.Products = cmp.Or(f.Products, 100_000_000)
	f.Rate = cmp.Or(f.Rate, 10e6)
	f.Exponent = cmp.Or(f.Exponent, 1)
	f.L1Bytes = cmp.Or(f.L1Bytes, 256<<20)
	f.SoftTTLMin = cmp.Or(f.SoftTTLMin, 10*time.Minute)
	f.SoftTTLMax = cmp.Or(f.SoftTTLMax, 20*time.Minute)
	f.Caches = cmp.Or(f.Caches, 50)
	f.CacheBytes = cmp.Or(f.CacheBytes, 128<<20)
	f.Refresh = cmp.Or(f.Refresh, time.Hour)
	f.RedisTTL = cmp.Or(f.RedisTTL, 90*24*time.Hour)
	f.Partitions = cmp.Or(f.Partitions, 12)
	f.HotcountBytes = cmp.Or(f.HotcountBytes, 64<<20)
	if f.Rule == (hotlist.Rule{}) {
		f.Rule = hotlist.DefaultRule()
	}
	f.Page = cmp.Or(f.Page, 12800)
	f.Document = cmp.Or(f.Document, 1024)
	f.ProductsPerShop = cmp.Or(f.ProductsPerShop, 1000)
	f.Sample = cmp.Or(f.Sample, 2)
	f.Warm = cmp.Or(f.Warm, 20*time.Minute)
	f.Measure = cmp.Or(f.Measure, 5*time.Minute)
	f.Follow = cmp.Or(f.Follow, 10*time.Minute)
	return f
}

func (f Fleet) zipf() *Zipf { return NewZipf(f.Products, f.Exponent) }

// random returns the source of one part of the simulation.
func (f Fleet) random(part uint64) *rand.Rand { return rand.New(rand.NewPCG(f.Seed, part)) }

// shop returns the shop of a product, from 0. Which products are one shop's has
// nothing to do with how popular they are.
func (f Fleet) shop(product int64) int32 {
	return int32(ring.Hash("shop of", product) % uint64(max(1, f.Products/f.ProductsPerShop)))
}

// place is the position of a product on the rings of all roles.
func place(product int64) uint64 { return ring.Hash(accesslog.Kind, product) }

// owners is a ring whose members are known by number, low to high-1.
type owners struct {
	low, high int
	ring      *ring.Ring
}

// newOwners makes a ring of a role's processes. A member has the same points on
// every ring that it is on.
func newOwners(role string, low, high int) *owners {
	var members []ring.Member
	for i := low; i < high; i++ {
		// The address, which decides nothing, carries the number.
		members = append(members, ring.Member{ID: fmt.Sprintf("%s-%d", role, i), Addr: string([]byte{byte(i >> 16), byte(i >> 8), byte(i)})})
	}
	return &owners{low: low, high: high, ring: ring.New(members, 0)}
}

// of returns the number of the owner of a hash.
func (o *owners) of(hash uint64) int {
	m, _ := o.ring.Owner(hash)
	return int(m.Addr[0])<<16 | int(m.Addr[1])<<8 | int(m.Addr[2])
}

func (o *owners) has(n int) bool { return o.low <= n && n < o.high }

func (o *owners) size() int { return o.high - o.low }
