package capacity

import (
	"fmt"
	"time"
)

// Outcome is what a fleet does with one distribution of products.
type Outcome struct {
	Exponent float64
	Hot      Hot
	// Owners is the balance when each request goes to the product's owner, Spread
	// when the hot products are answered by whichever gateway got them.
	Owners, Spread Balance
	Levels         Levels
	Loss, Join     Change
	Surge          Surge
}

// Change is what happens when the gateways become fewer or more.
type Change struct {
	// Moved is the share of the products that have another owner, MovedTraffic that
	// of the requests. Strays are products that moved between two gateways of
	// which neither came or went; there must be none.
	Moved, MovedTraffic float64
	Strays              int64
	Spread              Balance // afterwards
	// Before, First and After are the shares of requests answered from L1: before,
	// in the first second, and in the end. For a gateway that joins, before is the
	// fleet's, the others are its own. Back is when the share is within half a point
	// of that of the end for five seconds.
	Before, First, After float64
	Back                 time.Duration
}

// Surge is a product that nobody asked for and that gets half of all traffic.
type Surge struct {
	Found         time.Duration // until hotcount says that it is hot
	Owner, Spread Balance       // until then, and afterwards
}

// surgeShare is the share of the traffic of a product in a surge.
const surgeShare = 0.5

// Simulate plays a fleet with each of the exponents.
func Simulate(f Fleet, exponents []float64) ([]Outcome, error) {
	f = f.complete()
	lost := f.Gateways / 10
	if lost < 1 || f.Gateways < lost+f.Sample {
		return nil, fmt.Errorf("simulate %d gateways: a tenth of them is lost and %d are looked at, which needs more", f.Gateways, f.Sample)
	}
	var zipfs []*Zipf
	for _, s := range exponents {
		zipfs = append(zipfs, NewZipf(f.Products, s))
	}
	all := newOwners("gateway", 0, f.Gateways)
	loss := look(f.Products, zipfs, all, newOwners("gateway", lost, f.Gateways), func(g int) bool { return g >= lost && g < lost+f.Sample })
	join := look(f.Products, zipfs, all, newOwners("gateway", 0, f.Gateways+1), func(g int) bool { return g == f.Gateways })
	var out []Outcome
	for i, s := range exponents {
		f.Exponent = s
		o, err := f.play(i, zipfs[i], loss, join)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

func (f Fleet) play(i int, z *Zipf, loss, join *survey) (Outcome, error) {
	c, err := newCounting(f)
	if err != nil {
		return Outcome{}, err
	}
	c.settle()
	hot := c.found()
	share := func(id int64) float64 { return z.Share(float64(id)) }
	o := Outcome{
		Exponent: f.Exponent, Hot: hot,
		Owners: balance(loss.before, loss.load[i], share, nil),
		Spread: balance(loss.before, loss.load[i], share, hot.IDs),
		Loss:   loss.change(i), Join: join.change(i),
	}
	o.Loss.Spread = balance(loss.after, loss.then[i], share, hot.IDs)
	o.Join.Spread = balance(join.after, join.then[i], share, hot.IDs)
	if o.Surge, err = f.surge(c, z, loss, loss.load[i], hot); err != nil {
		return o, err
	}

	lost := loss.after.low
	var gateways []*gateway
	var owned []int
	for n := range f.Sample {
		mine := without(loss.owned[lost+n], hot.IDs)
		g, err := newGateway(f, uint64(10+n), 1, hot.IDs, append(mine, without(loss.gained[lost+n], hot.IDs)...))
		if err != nil {
			return o, err
		}
		gateways, owned = append(gateways, g), append(owned, len(mine))
	}
	levels, reads := f.front(z, hot, gateways, owned, 1)
	if err := f.behind(&levels, z, reads); err != nil {
		return o, err
	}
	o.Levels = levels
	var after []traffic
	for _, g := range gateways {
		after = append(after, g.traffic(z, loss.after.size(), len(g.ids)-int(g.hot)))
	}
	o.Loss.Before = o.Levels.L1
	o.Loss.watch(gateways, after, f.Follow)

	fresh, err := newGateway(f, 9, 1, hot.IDs, without(join.gained[f.Gateways], hot.IDs))
	if err != nil {
		return o, err
	}
	fresh.prewarm(f.Rule.Top)
	o.Join.Before = o.Levels.L1
	o.Join.watch([]*gateway{fresh}, []traffic{fresh.traffic(z, join.after.size(), len(fresh.ids)-int(fresh.hot))}, f.Follow)
	return o, nil
}

func (s *survey) change(i int) Change {
	return Change{Moved: float64(s.moved) / float64(s.products), MovedTraffic: s.movedLoad[i], Strays: s.strays}
}

// prewarm loads what a gateway loads before it joins: the hot products, and those
// of the ranking that it will own (roles/gateway/warm.go).
func (g *gateway) prewarm(top int) {
	for i, id := range g.ids {
		if i < int(g.hot) || id <= int64(top) {
			g.request(int32(i))
		}
	}
}

// watch plays traffic second by second. The end is the last tenth of the time.
func (c *Change) watch(gateways []*gateway, all []traffic, follow time.Duration) {
	seconds := int(follow.Seconds())
	shares := make([]float64, 0, seconds)
	for range seconds {
		var second tally
		for i, g := range gateways {
			before := []tally{g.onHot, g.onOwned}
			g.run(all[i], g.now+1)
			second.add(g.onHot.minus(before[0]), 1)
			second.add(g.onOwned.minus(before[1]), 1)
		}
		shares = append(shares, second.hits/second.requests)
	}
	c.First, c.After = shares[0], mean(shares[seconds-seconds/10:])
	for at := range shares {
		if mean(shares[at:min(at+5, seconds)]) >= c.After-0.005 {
			c.Back = time.Duration(at) * time.Second
			return
		}
	}
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

// surge has a product in the middle of the ranking get half of all traffic.
func (f Fleet) surge(c *counting, z *Zipf, s *survey, loads []float64, hot Hot) (Surge, error) {
	product := f.Products/2 + 1
	found, ok := c.surge(product, surgeShare)
	if !ok {
		return Surge{}, fmt.Errorf("simulate a surge: half of all requests do not make product %d hot", product)
	}
	then := make([]float64, len(loads))
	for g, load := range loads {
		then[g] = load * (1 - surgeShare)
	}
	then[s.before.of(place(product))] += surgeShare
	share := func(id int64) float64 {
		of := z.Share(float64(id)) * (1 - surgeShare)
		if id == product {
			of += surgeShare
		}
		return of
	}
	return Surge{Found: found, Owner: balance(s.before, then, share, hot.IDs),
		Spread: balance(s.before, then, share, append([]int64{product}, hot.IDs...))}, nil
}
