package rediscluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// NodeReport is what one node says of itself and of its cluster.
type NodeReport struct {
	// Addr is host:port as the node was asked; Given says that it is one of
	// Config.Addrs, and not learned from another node.
	Addr  string
	Given bool
	// Err says why the node did not answer; nothing below is set then.
	Err error

	Version string
	// Clustered is false for a server that runs alone; of what follows it tells
	// Info and Settings only.
	Clustered bool
	ID        string
	State     string       // cluster_state: "ok" or "fail"
	SlotsOK   int          // of 16384, in this node's view
	Members   []MemberView // its view of all nodes, itself among them, by id

	// Info is the answer to INFO, Settings that to CONFIG GET for some settings,
	// SettingsErr why there is none: managed and embedded servers have no CONFIG.
	Info        map[string]string
	Settings    map[string]string
	SettingsErr error

	// The node's clock showed Clock at some time between Asked and Answered by
	// the own one. All are zero if it did not say.
	Asked, Clock, Answered time.Time
}

// MemberView is one node as another one sees it.
type MemberView struct {
	ID       string
	Addr     string // as clients are told
	Master   bool
	MasterID string   // of a replica
	Failed   bool     // the cluster has agreed on it
	Suspect  bool     // this viewer alone gets no answer from it
	Epoch    int64    // config epoch
	Slots    [][2]int // first and last
}

// describedSettings are the settings that Describe asks for.
func describedSettings() []string {
	return []string{"cluster-node-timeout", "cluster-require-full-coverage", "cluster-allow-reads-when-down",
		"maxmemory", "maxmemory-policy", "appendonly", "save"}
}

const (
	describeLimit = 3 * time.Second // for all that one node is asked
	maxDescribed  = 256             // nodes asked
)

// Describe asks every node that is given, and every one that these know of, what
// it is and what it sees; now is the clock their clocks are compared with. A node
// that is known by two addresses is listed once, under the one that is given. It
// is for a look at the cluster, not for hot paths: every node gets a connection of
// its own.
func Describe(ctx context.Context, cfg Config, now func() time.Time) ([]NodeReport, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	logging.Disable() // as New does: the errors are reported
	reports := describeAll(ctx, cfg, cfg.Addrs, now)
	known := make(map[string]bool)
	addrs := make(map[string]bool)
	var answered []NodeReport
	for i := range reports {
		reports[i].Given = true
		addrs[reports[i].Addr] = true
		if id := reports[i].ID; id == "" || !known[id] {
			answered = append(answered, reports[i])
			known[id] = id != ""
		}
	}
	var further []string
	for _, r := range answered {
		for _, m := range r.Members {
			if !known[m.ID] && !addrs[m.Addr] && m.Addr != "" && len(further) < maxDescribed {
				known[m.ID], addrs[m.Addr] = true, true
				further = append(further, m.Addr)
			}
		}
	}
	return append(answered, describeAll(ctx, cfg, further, now)...), nil
}

func describeAll(ctx context.Context, cfg Config, addrs []string, now func() time.Time) []NodeReport {
	reports := make([]NodeReport, len(addrs))
	var wg sync.WaitGroup
	for i, addr := range addrs {
		wg.Go(func() { reports[i] = describe(ctx, cfg, addr, now) })
	}
	wg.Wait()
	return reports
}

func describe(ctx context.Context, cfg Config, addr string, now func() time.Time) NodeReport {
	ctx, cancel := context.WithTimeout(ctx, describeLimit)
	defer cancel()
	options := &redis.Options{
		Addr: addr, TLSConfig: cfg.TLS, ClientName: "eshop-doctor",
		DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second, DialerRetries: 1, MaxRetries: -1,
		ContextTimeoutEnabled: true, PoolSize: 1, Protocol: 2, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if cfg.Password != nil {
		options.Username, options.Password = cfg.Username, cfg.Password()
	}
	client := redis.NewClient(options)
	defer client.Close()
	r := NodeReport{Addr: addr}
	info, err := client.Info(ctx).Result()
	if err != nil {
		return NodeReport{Addr: addr, Err: fmt.Errorf("ask the redis node %s: %w", addr, cfg.explain(err))}
	}
	r.Info = fields(info)
	r.Version = r.Info["redis_version"]
	r.Clustered = r.Info["cluster_enabled"] == "1"
	r.Settings, r.SettingsErr = settings(ctx, client)
	r.clock(ctx, client, now)
	if !r.Clustered {
		return r
	}
	state, err := client.ClusterInfo(ctx).Result()
	if err == nil {
		about := fields(state)
		r.State = about["cluster_state"]
		r.SlotsOK, _ = strconv.Atoi(about["cluster_slots_ok"]) // 0, which is reported, if it is no number
		state, err = client.ClusterNodes(ctx).Result()
	}
	if err != nil {
		return NodeReport{Addr: addr, Err: fmt.Errorf("ask the redis node %s for its cluster: %w", addr, err)}
	}
	r.Members, r.ID = parseNodes(state)
	return r
}

// settings asks for one setting at a time: several in one question need Redis 7.
func settings(ctx context.Context, client *redis.Client) (map[string]string, error) {
	found := make(map[string]string)
	for _, name := range describedSettings() {
		got, err := client.ConfigGet(ctx, name).Result()
		if err != nil {
			return nil, err
		}
		maps.Copy(found, got)
	}
	return found, nil
}

// clock takes the quickest of three answers: it tells most.
func (r *NodeReport) clock(ctx context.Context, client *redis.Client, now func() time.Time) {
	for range 3 {
		asked := now()
		told, err := client.Time(ctx).Result()
		answered := now()
		if err == nil && (r.Clock.IsZero() || answered.Sub(asked) < r.Answered.Sub(r.Asked)) {
			r.Asked, r.Clock, r.Answered = asked, told, answered
		}
	}
}

// fields reads lines of the form name:value.
func fields(text string) map[string]string {
	found := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			found[name] = value
		}
	}
	return found
}

// parseNodes reads the answer to CLUSTER NODES; self is the id of the node that
// gave it. Lines that are none, and nodes that are only being met, are left out.
func parseNodes(text string) (members []MemberView, self string) {
	for line := range strings.Lines(text) {
		part := strings.Fields(line)
		if len(part) < 8 {
			continue
		}
		m := MemberView{ID: part[0]}
		flags := strings.Split(part[2], ",")
		if slices.Contains(flags, "handshake") {
			continue
		}
		if !slices.Contains(flags, "noaddr") {
			m.Addr, _, _ = strings.Cut(part[1], "@")
			if strings.HasPrefix(m.Addr, ":") {
				m.Addr = "" // it does not know its own address yet
			}
		}
		if slices.Contains(flags, "myself") {
			self = m.ID
		}
		m.Master = slices.Contains(flags, "master")
		m.Failed = slices.Contains(flags, "fail")
		m.Suspect = slices.Contains(flags, "fail?")
		if part[3] != "-" {
			m.MasterID = part[3]
		}
		m.Epoch, _ = strconv.ParseInt(part[6], 10, 64)
		for _, r := range part[8:] {
			if strings.HasPrefix(r, "[") { // a slot on its way to or from another node
				continue
			}
			first, last, ok := strings.Cut(r, "-")
			if !ok {
				last = first
			}
			from, err1 := strconv.Atoi(first)
			to, err2 := strconv.Atoi(last)
			if err1 == nil && err2 == nil && 0 <= from && from <= to && to < 16384 {
				m.Slots = append(m.Slots, [2]int{from, to})
			}
		}
		members = append(members, m)
	}
	slices.SortFunc(members, func(a, b MemberView) int { return strings.Compare(a.ID, b.ID) })
	return members, self
}
