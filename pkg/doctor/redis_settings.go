package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"eshop/pkg/rediscluster"
)

// Bounds of cluster-node-timeout. The election after it takes one to two seconds
// more: 4.2 to 4.8 s in all with 2 s.
const (
	nodeTimeoutMax = 5 * time.Second
	nodeTimeoutMin = time.Second
)

func (d *doctor) redisClusterSettings(n *notes, nodes []rediscluster.NodeReport) {
	if why := unsettled(nodes); why != "" {
		n.skip(why, "node-timeout", "full-coverage", "reads-when-down")
		return
	}
	most, least := time.Duration(0), time.Duration(0)
	for i, r := range nodes {
		ms, _ := strconv.ParseInt(r.Settings["cluster-node-timeout"], 10, 64)
		t := time.Duration(ms) * time.Millisecond
		if most = max(most, t); i == 0 || t < least {
			least = t
		}
	}
	set := func(name, value string) string { return d.redisEverywhere(nodes[0].Addr, name, value) }
	found := "cluster-node-timeout is " + short(most)
	if least != most {
		found = fmt.Sprintf("cluster-node-timeout is %s to %s", short(least), short(most))
	}
	switch {
	case most > nodeTimeoutMax:
		n.say(warn(fmt.Sprintf("for about %s after a master's death changes to its documents wait, and what only it had is pulled from the shop", short(most+2*time.Second)),
			set("cluster-node-timeout", "2000")), "node-timeout", "%s", found)
	case least < nodeTimeoutMin:
		n.say(warn("a node that pauses for so long, to fork or swap, is taken for dead", set("cluster-node-timeout", "2000")), "node-timeout", "%s", found)
	default:
		n.ok("node-timeout", "%s: a dead master is replaced after about %s", found, short(most+2*time.Second))
	}
	if with := having(nodes, "cluster-require-full-coverage", "yes"); len(with) > 0 {
		n.say(fail("with one slot uncovered, as at every fail-over, the whole cluster refuses to serve", set("cluster-require-full-coverage", "no")),
			"full-coverage", "cluster-require-full-coverage is yes at %s", some(with))
	} else {
		n.ok("full-coverage", "cluster-require-full-coverage is no")
	}
	if with := having(nodes, "cluster-allow-reads-when-down", "no"); len(with) > 0 {
		n.say(warn("replicas that have lost the majority of the masters refuse to be read, though they have the documents",
			set("cluster-allow-reads-when-down", "yes")), "reads-when-down", "cluster-allow-reads-when-down is no at %s", some(with))
	} else {
		n.ok("reads-when-down", "cluster-allow-reads-when-down is yes")
	}
}

// unsettled says why there are no settings to look at; empty if there are.
func unsettled(nodes []rediscluster.NodeReport) string {
	for _, r := range nodes {
		if r.SettingsErr != nil {
			why, _, _ := strings.Cut(r.SettingsErr.Error(), ", with args")
			return r.Addr + " does not tell its settings: " + why
		}
	}
	return ""
}

// having lists the nodes whose setting has the value.
func having(nodes []rediscluster.NodeReport, name, value string) (addrs []string) {
	for _, r := range nodes {
		if r.Settings[name] == value {
			addrs = append(addrs, r.Addr)
		}
	}
	return addrs
}

// fullPercent is how full a node may be before it is spoken of.
const fullPercent = 90

// redisMemory judges what happens when a node is full. Evicting what was used
// longest ago is right for a cache; what was just written, and with it the stamp
// that keeps older copies out, must not be the first to go.
func (d *doctor) redisMemory(n *notes, nodes []rediscluster.NodeReport) {
	var open, full, refusing []string
	var policies []string
	var fill, evicted int64
	for _, r := range nodes {
		limit, _ := strconv.ParseInt(r.Info["maxmemory"], 10, 64)
		used, _ := strconv.ParseInt(r.Info["used_memory"], 10, 64)
		gone, _ := strconv.ParseInt(r.Info["evicted_keys"], 10, 64)
		evicted += gone
		policy := r.Info["maxmemory_policy"]
		if limit == 0 {
			open = append(open, r.Addr)
			continue
		}
		if !slices.Contains(policies, policy) {
			policies = append(policies, policy)
		}
		fill = max(fill, 100*used/limit)
		switch {
		case policy == "noeviction" && 100*used/limit >= fullPercent:
			full = append(full, r.Addr)
		case policy == "noeviction":
			refusing = append(refusing, r.Addr)
		}
	}
	slices.Sort(policies)
	set := func(name, value string) string { return d.redisEverywhere(nodes[0].Addr, name, value) }
	blind := slices.DeleteFunc(slices.Clone(policies), func(p string) bool { return strings.HasSuffix(p, "-lru") || p == "noeviction" })
	switch {
	case len(full) > 0:
		n.say(fail("a full node refuses every write: its changes wait and stale copies stay in it", set("maxmemory-policy", "allkeys-lru")+"    # or give it more memory"),
			"memory", "maxmemory-policy is noeviction and %s is %d %% full", some(full), fill)
	case len(open) > 0:
		n.say(warn("the node grows until the kernel kills it", set("maxmemory", "BYTES")+"    # two thirds of the machine's memory, for a fork needs some"),
			"memory", "maxmemory is not set at %s", some(open))
	case len(blind) > 0:
		n.say(warn("a full node may evict what was just written, and with it the stamp that keeps an older copy out", set("maxmemory-policy", "allkeys-lru")),
			"memory", "maxmemory-policy is %s", strings.Join(blind, " and "))
	case len(refusing) > 0:
		n.say(warn("once the node is full it refuses every write, changes too", set("maxmemory-policy", "allkeys-lru")),
			"memory", "maxmemory-policy is noeviction at %s; the fullest node is %d %% full", some(refusing), fill)
	default:
		n.ok("memory", "maxmemory-policy %s; the fullest node is %d %% full; %d documents evicted", strings.Join(policies, " and "), fill, evicted)
	}
}

func (d *doctor) redisPersistence(n *notes, nodes []rediscluster.NodeReport) {
	if why := unsettled(nodes); why != "" {
		n.skip(why, "persistence")
		return
	}
	var none []string
	for _, r := range nodes {
		if r.Settings["appendonly"] != "yes" && r.Settings["save"] == "" {
			none = append(none, r.Addr)
		}
	}
	if len(none) > 0 {
		n.say(warn("a master that is restarted before the others notice comes back empty, and its replica with it; all of it is pulled from the shop again",
			d.redisEverywhere(nodes[0].Addr, "appendonly", "yes")), "persistence", "neither appendonly nor save is set at %s", some(none))
		return
	}
	n.ok("persistence", "every node keeps its documents over a restart")
}

// redisCLI is a command line for one node, or for none.
func (d *doctor) redisCLI(addr, words string) string {
	line := "redis-cli"
	if host, port, ok := strings.Cut(addr, ":"); ok && addr != "" {
		if i := strings.LastIndexByte(addr, ':'); i > 0 { // IPv6
			host, port = strings.Trim(addr[:i], "[]"), addr[i+1:]
		}
		line += " -h " + host + " -p " + port
	}
	if d.Redis.TLS != nil {
		line += " --tls"
	}
	if d.Redis.Username != "" {
		line += " --user " + d.Redis.Username
	}
	if d.Redis.Password != nil {
		line += " --askpass"
	}
	return line + " " + words
}

// redisEverywhere sets something at every node and has each write it to its file.
func (d *doctor) redisEverywhere(addr, name, value string) string {
	call := d.redisCLI("", "--cluster call "+addr)
	return call + " CONFIG SET " + name + " " + value + " && " + call + " CONFIG REWRITE"
}
