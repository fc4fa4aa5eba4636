package simulation

// attack is one thing that goes wrong, or right again.
func (w *world) attack() {
	w.zk.expire()
	if w.choices.chance(2) {
		w.heal()
		return
	}
	p := w.anyProcess()
	switch w.choices.below(13) {
	case 0, 1: // a crash, wherever the process is
		if p.up {
			w.say("%s crashes", p.name)
			p.crash()
			w.events.note("crashes")
		}
	case 2, 3:
		if p.up && !p.paused {
			p.paused = true
			w.say("%s is stopped", p.name)
			w.events.note("processes stopped")
		}
	case 4: // nobody is as fast as the clock
		w.pass(int64(1+w.choices.below(90)) * 1000)
	case 5:
		w.pass(int64(1+w.choices.below(8)) * 1000)
	case 6, 7:
		w.say("the Redis master fails over")
		w.redis.failover()
		w.events.note("failovers")
	case 8:
		w.outage()
	case 9:
		p.offBus = true
		w.say("%s is cut off from Kafka", p.name)
	case 10:
		p.offLock = true
		w.say("%s is cut off from ZooKeeper", p.name)
	case 11:
		w.say("the partitions of the change topic move")
		w.feed.assign()
		w.events.note("rebalances")
	case 12:
		w.forget()
	}
}

// outage takes one dependency away from all.
func (w *world) outage() {
	switch w.choices.below(4) {
	case 0:
		w.redis.down = true
		w.say("Redis is away")
	case 1:
		w.feed.down = true
		w.say("Kafka is away")
	case 2:
		w.zk.down = true
		w.say("ZooKeeper is away")
	case 3:
		w.origin.down = true
		w.say("the origin fails")
	}
	w.events.note("outages")
}

// heal repairs one thing, if it is broken.
func (w *world) heal() {
	if p := w.anyProcess(); !p.up || p.paused {
		w.resume(p)
		w.restart(p)
		return
	}
	switch w.choices.below(3) {
	case 0:
		w.redis.down, w.origin.down = false, false
		w.say("Redis and the origin answer")
	case 1:
		w.feed.down, w.zk.down = false, false
		w.say("Kafka and ZooKeeper answer")
	case 2:
		for i := range caches + gateways {
			w.member(i).offBus, w.member(i).offLock = false, false
		}
		w.say("nobody is cut off")
	}
}

func (w *world) anyProcess() *process {
	return w.member(w.choices.below(caches + gateways))
}

// pass lets time go by. In half of the cases what runs by itself keeps up with it.
func (w *world) pass(ms int64) {
	lively := w.choices.chance(2)
	w.say("%d s pass", ms/1000)
	for end := w.now + ms; w.now < end; {
		w.now += 500
		if !lively {
			continue
		}
		for _, t := range w.ready() {
			if t.background && !t.over {
				t.run()
			}
		}
	}
}

func (w *world) resume(p *process) {
	if p.paused {
		p.paused = false
		w.say("%s goes on", p.name)
	}
}

func (w *world) restart(p *process) {
	if p.up {
		return
	}
	w.say("%s is started", p.name)
	for _, c := range w.caches {
		if c.process == p {
			c.boot()
		}
	}
	for _, g := range w.gateways {
		if g.process == p {
			g.boot()
		}
	}
}

// forget removes what servers need not keep: a key in Redis, the old end of the bus.
func (w *world) forget() {
	if w.choices.chance(2) {
		k := w.origin.keys[w.choices.below(documents)]
		w.say("Redis evicts %v", k)
		w.redis.evict(k)
		w.events.note("evictions")
		return
	}
	log := &w.bus[w.choices.below(partitions)]
	log.first = max(log.first, log.end()-w.choices.below(3))
	w.say("the bus forgets all before offset %d", log.first)
}
