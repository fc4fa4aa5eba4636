package capacity

import (
	"math"
	"time"
)

// Plan is how many machines of each role a load takes. Redis masters have a
// replica each beside them.
type Plan struct {
	Rate                                          float64
	Products                                      int64
	Gateways, Caches, Masters, Brokers, Hotcounts int
	Hot                                           int
	Levels                                        Levels
	Refresh                                       time.Duration // --cache.refresh that ZooKeeper's tokens allow
	EntriesPerSecond, RecordsPerSecond            float64
}

// planRounds bounds how often a plan is made again because the hit ratio of so
// many gateways is another one.
const planRounds = 5

// NewPlan finds the fleet for a load: f has Rate, Products and Exponent; without
// Warm and Measure it chooses them. The fewest of a role are those that survive the loss of one: two, and three where a
// majority or copies need them.
func NewPlan(f Fleet, m Machine, c Costs) (Plan, error) {
	f.L1Bytes, f.CacheBytes = m.L1Bytes, m.CacheBytes
	f.Gateways, f.Caches = 2, 2
	warm, measure := f.Warm, f.Measure // miniature chooses where they are 0
	f = f.complete()
	f.Warm, f.Measure = warm, measure
	count, err := newCounting(f)
	if err != nil {
		return Plan{}, err
	}
	count.settle()
	hot := count.found()
	z := f.zipf()
	p := Plan{Rate: f.Rate, Products: f.Products, Hot: len(hot.IDs)}
	f.Gateways = m.gateways(f, c, Levels{Forwarded: 1 - hot.Share, Owner: 1})
	var reads *redisReads
	for range planRounds {
		if p.Levels, reads, err = f.miniature(z, hot); err != nil {
			return p, err
		}
		was := f.Gateways
		if f.Gateways = m.gateways(f, c, p.Levels); math.Abs(float64(f.Gateways-was)) <= 0.05*float64(was) {
			break
		}
	}
	for range planRounds {
		if err := f.behind(&p.Levels, z, reads); err != nil {
			return p, err
		}
		f.Caches = m.caches(c, p.Levels)
		if p.Levels.Refreshed <= c.Tokens {
			break
		}
		// Whole hours, so that it ends at once: reads that are rare wait longer anyway.
		f.Refresh = (time.Duration(float64(f.Refresh)*p.Levels.Refreshed/c.Tokens) + time.Hour - 1).Truncate(time.Hour)
	}
	p.Gateways, p.Caches, p.Refresh = f.Gateways, f.Caches, f.Refresh
	p.Masters = m.masters(f, c, p.Levels)
	z.each(func(ids, share float64) {
		// A product is in a record if the gateway got a request for it in that slice.
		p.EntriesPerSecond += ids * float64(f.Gateways) / slice * -math.Expm1(-share*f.Rate*slice/float64(f.Gateways))
	})
	p.RecordsPerSecond = min(float64(f.Gateways*f.Partitions)/slice, p.EntriesPerSecond)
	p.Brokers = m.brokers(f, c, p)
	p.Hotcounts = m.machines(2, p.EntriesPerSecond*c.Entry.Seconds(), m.Cores)
	return p, nil
}

// slice is that of the access log's records, in seconds.
const slice = 0.1

// machines is how many take a load when each has room for so much.
func (m Machine) machines(least int, load, room float64) int {
	return max(least, int(math.Ceil(load/(room*m.Load)/(1-m.Spare)-1e-9)))
}

// gateways is by cores or network, whichever takes more.
func (m Machine) gateways(f Fleet, c Costs, l Levels) int {
	missed := 1 - l.L1
	if l.L1 == 0 { // not known yet
		missed = 0
	}
	each := c.Hit + time.Duration(l.Forwarded*float64(c.Forward+c.Answer-c.Hit)+missed*float64(c.Build))
	cores := f.Rate*each.Seconds() + (l.Reads+l.Refreshes)*c.Read.Seconds()
	bits := f.Rate * (1 + l.Forwarded) * float64(c.AnswerBytes) * 8
	return max(m.machines(2, cores, m.Cores), m.machines(2, bits, m.Network))
}

// caches is by cores, or by the background pulls that wait for the origin.
func (m Machine) caches(c Costs, l Levels) int {
	cores := l.Calls*c.Call.Seconds() + l.Pulls*c.Pull.Seconds()
	return max(m.machines(2, cores, m.Cores), m.machines(2, l.Refreshed*c.PullTime.Seconds(), float64(c.Pullers)))
}

// masters is by memory, or by reads: a master and its replica serve them.
func (m Machine) masters(f Fleet, c Costs, l Levels) int {
	bytes := float64(f.Products) * float64(f.Document+c.RedisEntry)
	return max(3, int(math.Ceil(bytes/float64(c.RedisBytes))), m.machines(3, l.Reads+l.Refreshes, 2*c.RedisReads))
}

// copies of each partition.
const copies = 3

// brokers is by batches or bytes. The log is read once by hotcount, each change by
// every gateway and cache process.
func (m Machine) brokers(f Fleet, c Costs, p Plan) int {
	changes := float64(f.Products) * c.ChangesDaily / (24 * 3600)
	sends := copies * (p.RecordsPerSecond + 2*changes)
	log := p.RecordsPerSecond*float64(c.BatchBytes) + p.EntriesPerSecond*float64(c.EntryBytes)
	bytes := log*(copies+1) + changes*float64(c.BatchBytes)*float64(2*copies+f.Gateways+f.Caches+1)
	return max(m.machines(3, sends, c.BrokerSends), m.machines(3, bytes, c.BrokerBytes))
}

// miniature simulates one gateway, thinned out until it takes some seconds.
func (f Fleet) miniature(z *Zipf, hot Hot) (Levels, *redisReads, error) {
	thinning := 1
	ids := func() float64 { return float64(f.Products) / float64(f.Gateways*thinning) }
	rate := func() float64 { return f.Rate / float64(f.Gateways*thinning) }
	for ids() > 50_000 || rate() > 2500 && ids() > 4000 {
		thinning *= 2
	}
	gateways := newOwners("gateway", 0, f.Gateways)
	var owned, known []int64
	for id := int64(1); id <= f.Products; id++ {
		if hash := place(id); thinned(hash, thinning) && gateways.of(hash) == 0 {
			owned = append(owned, id)
		}
	}
	for _, id := range hot.IDs {
		if thinned(place(id), thinning) {
			known = append(known, id)
		}
	}
	owned = without(owned, hot.IDs)
	g, err := newGateway(f, 3, thinning, known, owned)
	if err != nil {
		return Levels{}, nil, err
	}
	// Where requests are few the caches take long to fill.
	if f.Warm == 0 {
		f.Warm = max(20*time.Minute, time.Duration(2e6/rate()*float64(time.Second)))
		f.Measure = max(5*time.Minute, time.Duration(5e5/rate()*float64(time.Second)))
	}
	l, reads := f.front(z, hot, []*gateway{g}, []int{len(owned)}, thinning)
	return l, reads, nil
}
