package doctor

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"eshop/pkg/rediscluster"
)

// redisSlots is how many slots a cluster has.
const redisSlots = 16384

// redisOfCluster and redisOfNodes are the checks that have nothing to look at
// without a cluster, and without any node.
func redisOfCluster() []string {
	return []string{"state", "slots", "views", "replicas", "hosts", "node-timeout", "full-coverage", "reads-when-down"}
}
func redisOfNodes() []string { return []string{"version", "memory", "persistence", "clock"} }

func (d *doctor) redis(ctx context.Context, n *notes) {
	if len(d.Redis.Addrs) == 0 {
		n.skip("--redis.addrs is not given", append(append([]string{"reachable", "cluster"}, redisOfCluster()...), redisOfNodes()...)...)
		return
	}
	reports, err := rediscluster.Describe(ctx, d.Redis, d.now)
	if err != nil {
		reports = []rediscluster.NodeReport{{Addr: d.Redis.Addrs[0], Err: err}}
	}
	nodes := d.redisReachable(n, reports)
	if len(nodes) == 0 {
		n.skip("redis cannot be reached", append(append([]string{"cluster"}, redisOfCluster()...), redisOfNodes()...)...)
		return
	}
	if d.redisCluster(n, nodes) {
		d.redisState(n, nodes)
		d.redisViews(n, nodes)
		d.redisReplicas(n, nodes[0])
		d.redisClusterSettings(n, nodes)
	} else {
		n.skip("the servers are no cluster", redisOfCluster()...)
	}
	d.redisVersion(n, nodes)
	d.redisMemory(n, nodes)
	d.redisPersistence(n, nodes)
	var readings []reading
	for _, r := range nodes {
		if !r.Clock.IsZero() {
			readings = append(readings, reading{whose: r.Addr, asked: r.Asked, told: r.Clock, answered: r.Answered})
		}
	}
	d.clocks(n, readings)
}

// redisReachable returns the nodes that answered, those of the cluster first.
func (d *doctor) redisReachable(n *notes, reports []rediscluster.NodeReport) []rediscluster.NodeReport {
	var nodes []rediscluster.NodeReport
	var silent []string
	var first error
	for _, r := range reports {
		if r.Err == nil {
			nodes = append(nodes, r)
			continue
		}
		silent = append(silent, r.Addr)
		if first == nil {
			first = r.Err
		}
	}
	if len(silent) == 0 {
		n.ok("reachable", "%d of %d nodes answer", len(nodes), len(reports))
		return nodes
	}
	why := "what the node has is served by its replica at best; with no other left, its slots are away"
	if len(nodes) == 0 {
		why = "without Redis pages come from memory and from the shop only, and changes wait"
	}
	n.say(fail(why, d.redisCLI(silent[0], "PING")+"    # then start the node, or correct --redis.addrs, or --redis.password-file"),
		"reachable", "%d of %d nodes answer; not %s: %v", len(nodes), len(reports), some(silent), first)
	return nodes
}

// redisCluster reports whether all nodes are of a cluster.
func (d *doctor) redisCluster(n *notes, nodes []rediscluster.NodeReport) bool {
	var alone []string
	for _, r := range nodes {
		if !r.Clustered {
			alone = append(alone, r.Addr)
		}
	}
	if len(alone) == 0 {
		n.ok("cluster", "%d nodes in cluster mode", len(nodes))
		return true
	}
	n.say(fail("eshop speaks the protocol of Redis Cluster and cannot use a server that runs alone",
		"cluster-enabled yes    # in each redis.conf, restart, then: redis-cli --cluster create "+strings.Join(d.Redis.Addrs, " ")+" …    # three masters at least, and --cluster-replicas 1"),
		"cluster", "%s runs alone (cluster_enabled:0)", some(alone))
	return false
}

func (d *doctor) redisVersion(n *notes, nodes []rediscluster.NodeReport) {
	versions := make(map[string][]string)
	for _, r := range nodes {
		versions[r.Version] = append(versions[r.Version], r.Addr)
	}
	all := slices.Sorted(maps.Keys(versions))
	for _, v := range all {
		if major, _, _ := strings.Cut(v, "."); !atLeast(major, 7) {
			n.say(fail("readiness asks CLUSTER SHARDS, which Redis has since 7.0; older ones are not tested",
				"upgrade the node to Redis 7, replicas first"), "version", "%s is Redis %s", some(versions[v]), v)
			return
		}
	}
	if len(all) > 1 {
		n.say(warn("a mixed cluster is for the time of an upgrade", "upgrade the older nodes, replicas first"),
			"version", "the nodes are Redis %s", strings.Join(all, " and "))
		return
	}
	n.ok("version", "Redis %s", all[0])
}

func atLeast(number string, least int) bool {
	got, err := strconv.Atoi(number)
	return err == nil && got >= least
}

func (d *doctor) redisState(n *notes, nodes []rediscluster.NodeReport) {
	check := d.redisCLI("", "--cluster check "+nodes[0].Addr)
	var down []string
	for _, r := range nodes {
		if r.State != "ok" {
			down = append(down, r.Addr)
		}
	}
	if len(down) > 0 {
		n.say(fail("such a node refuses reads and writes", check), "state", "cluster_state is not ok at %s", some(down))
	} else {
		n.ok("state", "cluster_state:ok at every node")
	}
	var taken [redisSlots]bool
	for _, m := range nodes[0].Members {
		for _, r := range m.Slots {
			for s := r[0]; s <= r[1] && m.Master && !m.Failed; s++ {
				taken[s] = true
			}
		}
	}
	missing, open := ranges(taken[:])
	if open == 0 {
		n.ok("slots", "all %d slots have a live master", redisSlots)
		return
	}
	n.say(fail(fmt.Sprintf("one document in %d has no place: its changes wait, and it is pulled from the shop again and again", (redisSlots+open-1)/open),
		d.redisCLI("", "--cluster fix "+nodes[0].Addr)+"    # if their master is only away, start it instead"),
		"slots", "%d of %d slots have no live master: %s", open, redisSlots, some(missing))
}

// ranges names the slots that are not taken, and counts them.
func ranges(taken []bool) (names []string, count int) {
	for s := 0; s < len(taken); s++ {
		first := s
		for s < len(taken) && !taken[s] {
			s++
		}
		if s > first {
			names = append(names, fmt.Sprintf("%d-%d", first, s-1))
			count += s - first
		}
	}
	return names, count
}

// redisViews compares who owns what, in which config epoch, as each node sees it.
func (d *doctor) redisViews(n *notes, nodes []rediscluster.NodeReport) {
	views := make(map[string][]string)
	var suspects []string
	for _, r := range nodes {
		var view strings.Builder
		for _, m := range r.Members { // sorted by id
			if m.Master && len(m.Slots) > 0 {
				fmt.Fprintf(&view, "%s@%d=%v;", m.ID, m.Epoch, m.Slots)
			}
			if (m.Suspect || m.Failed) && !slices.Contains(suspects, m.Addr) {
				suspects = append(suspects, m.Addr)
			}
		}
		views[view.String()] = append(views[view.String()], r.Addr)
	}
	check := d.redisCLI("", "--cluster check "+nodes[0].Addr)
	switch {
	case len(views) > 1:
		n.say(fail("clients are sent to and fro, and writes go to a master that has been replaced", check),
			"views", "the nodes have %d different views of who owns which slots", len(views))
	case len(suspects) > 0:
		n.say(warn("a replica takes over only when most masters agree that its master is dead", check),
			"views", "some nodes get no answer from %s", some(suspects))
	default:
		n.ok("views", "all nodes agree on owners and config epochs")
	}
}

// redisReplicas looks at who would take over from whom, and from which machine.
func (d *doctor) redisReplicas(n *notes, viewer rediscluster.NodeReport) {
	replicas := make(map[string][]string)
	hosts := make(map[string]bool)
	for _, m := range viewer.Members {
		hosts[hostOf(m.Addr)] = true
		if !m.Master && !m.Failed {
			replicas[m.MasterID] = append(replicas[m.MasterID], m.Addr)
		}
	}
	var bare, paired []string
	var bareID string
	for _, m := range viewer.Members {
		if !m.Master || m.Failed || len(m.Slots) == 0 {
			continue
		}
		own := replicas[m.ID]
		if len(own) == 0 {
			bare, bareID = append(bare, m.Addr), m.ID
		} else if !slices.ContainsFunc(own, func(a string) bool { return hostOf(a) != hostOf(m.Addr) }) {
			paired = append(paired, m.Addr+" and "+strings.Join(own, ", "))
		}
	}
	b := fail("when it dies its slots are away until it is back, and all they held is lost", "")
	if len(viewer.Members) == 1 {
		b.severity = Warning // a set-up for one machine, and meant to be
	}
	b.mend = d.redisCLI("", "--cluster add-node NEWHOST:PORT "+viewer.Addr+" --cluster-slave --cluster-master-id "+bareID)
	if len(bare) > 0 {
		n.say(b, "replicas", "no live replica of the master %s", some(bare))
	} else {
		n.ok("replicas", "every master has a replica")
	}
	b = fail("one machine's loss takes the master and all that could take over from it", "")
	if len(hosts) == 1 {
		b.severity = Warning
	}
	switch {
	case len(replicas) == 0:
		n.skip("there is no replica", "hosts")
	case len(paired) > 0:
		b.mend = d.redisCLI("ANOTHER-REPLICA:PORT", "CLUSTER REPLICATE MASTER-ID") + "    # swap replicas between machines; ids: " + d.redisCLI(viewer.Addr, "CLUSTER NODES")
		n.say(b, "hosts", "master and replicas share the machine %s: %s", hostOf(strings.Fields(paired[0])[0]), some(paired))
	default:
		n.ok("hosts", "no master shares its machine with all of its replicas")
	}
}

func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}
