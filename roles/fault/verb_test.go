package fault_test

import (
	"slices"
	"time"

	"eshop/pkg/lab"
)

// part is one process that faults are done to.
type part struct {
	name    string
	process interface {
		Kill()
		Pause()
		Resume()
		Restart()
		Pid() int
	} // nil for the shop, which is no process of its own
	link    *lab.Link // by which its clients reach it
	gateway int       // its index, -1 for what is none: its clients cannot expect answers then
}

// target finds parts at the moment of the fault.
type target func(*world) []part

func nodes(name string, ns []*lab.Node, links []*lab.Link, picked ...*lab.Node) []part {
	var parts []part
	for _, n := range picked {
		parts = append(parts, part{name, n, links[slices.Index(ns, n)], -1})
	}
	return parts
}

// redisMaster is the master of a third of the keys, 0 to 2.
func redisMaster(third int) target {
	return func(w *world) []part {
		return nodes("redis master", w.redis.Nodes(), w.redis.Links(), w.redis.Master(third*5461+100))
	}
}

func redisReplica(third int) target {
	return func(w *world) []part {
		return nodes("redis replica", w.redis.Nodes(), w.redis.Links(), w.redis.Replicas(w.redis.Master(third*5461 + 100))[:1]...)
	}
}

func redisAll(w *world) []part {
	return nodes("redis", w.redis.Nodes(), w.redis.Links(), w.redis.Nodes()...)
}

func broker(i int) target {
	return func(w *world) []part { return nodes("broker", w.kafka.Nodes(), w.kafka.Links(), w.kafka.Nodes()[i]) }
}

func kafkaAll(w *world) []part {
	return nodes("broker", w.kafka.Nodes(), w.kafka.Links(), w.kafka.Nodes()...)
}

func zooLeader(w *world) []part {
	return nodes("zookeeper leader", w.zookeeper.Nodes(), w.zookeeper.Links(), w.zookeeper.Leader())
}

func zooFollower(w *world) []part {
	ns := w.zookeeper.Nodes()
	follower := ns[(slices.Index(ns, w.zookeeper.Leader())+1)%len(ns)]
	return nodes("zookeeper follower", ns, w.zookeeper.Links(), follower)
}

func zooAll(w *world) []part {
	return nodes("zookeeper", w.zookeeper.Nodes(), w.zookeeper.Links(), w.zookeeper.Nodes()...)
}

func shopDoor(w *world) []part { return []part{{"origin", nil, w.door, -1}} }

func gatewayNo(i int) target {
	return func(w *world) []part { return []part{{w.gateways[i].name, w.gateways[i], w.gateways[i].link, i}} }
}

func gatewayAll(w *world) []part {
	return slices.Concat(gatewayNo(0)(w), gatewayNo(1)(w), gatewayNo(2)(w))
}

func cacheNo(i int) target {
	return func(w *world) []part { return []part{{w.caches[i].name, w.caches[i], w.caches[i].link, -1}} }
}

func cacheAll(w *world) []part { return slices.Concat(cacheNo(0)(w), cacheNo(1)(w)) }

func hotcountNo(i int) target {
	return func(w *world) []part { return []part{{w.hotcounts[i].name, w.hotcounts[i], nil, -1}} }
}

// fault does something and returns what undoes it.
type fault struct {
	what string
	on   func(*traffic) (heal func())
}

// each does the same to every part of a target; own says that it takes the process itself from its clients.
func each(what string, at target, own bool, on, off func(part)) fault {
	return fault{what, func(tr *traffic) func() {
		parts := at(tr.w)
		for _, p := range parts {
			if own && p.gateway >= 0 {
				tr.excused[p.gateway].Store(true)
			}
			on(p)
		}
		return func() {
			for _, p := range parts {
				off(p)
			}
		}
	}}
}

// kill ends a process at once; it is started again when the fault is healed. Of the shop, its clients see the same.
func kill(at target) fault {
	return each("killed", at, true, func(p part) {
		if p.process == nil {
			p.link.Cut()
			return
		}
		p.process.Kill()
	}, func(p part) {
		if p.process == nil {
			p.link.Heal()
			return
		}
		p.process.Restart()
	})
}

// bounce kills a process and starts it again at once.
func bounce(at target) fault {
	return each("restarted", at, true, func(p part) { p.process.Restart() }, func(part) {})
}

// pause stops a process with SIGSTOP: it keeps its port and its connections and answers nothing.
func pause(at target) fault {
	return each("paused", at, true, func(p part) {
		if p.process == nil {
			p.link.Blackhole()
			return
		}
		p.process.Pause()
	}, func(p part) {
		if p.process == nil {
			p.link.Heal()
			return
		}
		p.process.Resume()
	})
}

// cut resets the connections of a process's clients and refuses new ones; its own peers reach it as before.
func cut(at target) fault {
	return each("cut", at, false, func(p part) { p.link.Cut() }, func(p part) { p.link.Heal() })
}

// silence is a cut without notice, as a dead cable makes it.
func silence(at target) fault {
	return each("silent", at, false, func(p part) { p.link.Blackhole() }, func(p part) { p.link.Heal() })
}

// drop resets the connections of a process's clients, once.
func drop(at target) fault {
	return each("connections dropped", at, false, func(p part) { p.link.Drop() }, func(part) {})
}

// slow holds back every byte for d in each direction.
func slow(at target, d time.Duration) fault {
	return each("slowed by "+d.String(), at, false, func(p part) { p.link.Delay(d) }, func(p part) { p.link.Delay(0) })
}

// cutFrom cuts servers for some processes alone.
func cutFrom(servers, clients target) fault {
	return fault{"cut off", func(tr *traffic) func() {
		var pids []int
		for _, c := range clients(tr.w) {
			pids = append(pids, c.process.Pid())
		}
		parts := servers(tr.w)
		for _, p := range parts {
			p.link.CutFrom(pids...)
		}
		return func() {
			for _, p := range parts {
				p.link.Heal()
			}
		}
	}}
}

// flapping does and undoes a fault over and over, with half a second between.
func flapping(f fault, times int) fault {
	return fault{f.what + " again and again", func(tr *traffic) func() {
		for range times {
			heal := f.on(tr)
			<-time.After(400 * time.Millisecond)
			heal()
			<-time.After(600 * time.Millisecond)
		}
		return func() {}
	}}
}
