package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"eshop/pkg/zookeeper"
)

// zookeeperChecks are those that need a server, zookeeperSession those of them
// that need a session.
func zookeeperSession() []string {
	return []string{"ensemble", "session", "root", "nodes", "sizes", "members", "clock"}
}
func zookeeperChecks() []string { return append([]string{"words", "leader"}, zookeeperSession()...) }

func (d *doctor) zookeeper(ctx context.Context, n *notes) {
	if len(d.ZooKeeper.Servers) == 0 {
		n.skip("--zookeeper.servers is not given", append([]string{"reachable"}, zookeeperChecks()...)...)
		return
	}
	servers, err := zookeeper.DescribeServers(ctx, d.ZooKeeper)
	if err != nil {
		servers = []zookeeper.ServerReport{{Addr: d.ZooKeeper.Servers[0], Err: err}}
	}
	if !d.zookeeperReachable(n, servers) {
		n.skip("zookeeper cannot be reached", zookeeperChecks()...)
		return
	}
	modes := d.zookeeperModes(n, servers)
	session, err := zookeeper.New(d.ZooKeeper, zookeeper.Deps{Log: d.log})
	if err == nil {
		err = during(ctx, session.Run, func(ctx context.Context) error { return d.zookeeperInside(ctx, n, session, modes) })
	}
	if err != nil {
		n.say(fail("no change is stored, for its writer gets no token; pages are unaffected", "zkServer.sh status    # on each server: a majority has to run"),
			"session", "no session: %v", err)
		n.skip("there is no session with zookeeper", "ensemble", "root", "nodes", "sizes", "members", "clock")
	}
}

// during runs a client in the background for as long as work takes.
func during(ctx context.Context, client func(context.Context) error, work func(context.Context) error) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- client(background) }()
	err := work(ctx)
	stop()
	return errors.Join(err, <-ended)
}

func (d *doctor) zookeeperReachable(n *notes, servers []zookeeper.ServerReport) bool {
	var silent, idle []string
	var first error
	for _, s := range servers {
		switch {
		case s.Err != nil:
			silent = append(silent, s.Addr)
			if first == nil {
				first = s.Err
			}
		case s.Idle:
			idle = append(idle, s.Addr)
		}
	}
	why := "with a majority away changes wait, and what is hot stays as it is"
	switch {
	case len(silent) > 0:
		n.say(fail(why, "zkServer.sh status    # on "+some(silent)+"; then start it, or correct --zookeeper.servers"),
			"reachable", "%d of %d servers answer; not %s: %v", len(servers)-len(silent), len(servers), some(silent), first)
	case len(idle) > 0:
		n.say(fail(why, "zkServer.sh status    # on the servers that are missing from the ensemble"),
			"reachable", "%s is up and serves nobody: it finds no majority", some(idle))
	default:
		n.ok("reachable", "%d of %d servers answer", len(servers), len(servers))
	}
	return len(silent) < len(servers)
}

// zookeeperModes judges what the servers say of themselves and returns how many
// are of each mode.
func (d *doctor) zookeeperModes(n *notes, servers []zookeeper.ServerReport) map[string]int {
	modes := make(map[string]int)
	var mute []string
	leader := ""
	for _, s := range servers {
		switch {
		case s.Refused:
			mute = append(mute, s.Addr)
		case s.Mode != "":
			modes[s.Mode]++
		}
		if s.Mode == "leader" || s.Mode == "standalone" {
			leader = s.Addr
		}
	}
	if len(mute) > 0 {
		n.say(warn("monitoring and this command cannot ask such a server for its part in the ensemble", "4lw.commands.whitelist=srvr,ruok    # in zoo.cfg, then restart the server"),
			"words", "srvr is not whitelisted at %s", some(mute))
	} else {
		n.ok("words", "every server answers srvr")
	}
	switch {
	case leader != "":
		n.ok("leader", "%s", leader)
	case len(mute) > 0:
		n.skip("not every server tells its part; that a session is possible shows that there is one", "leader")
	default:
		n.say(warn("it may be one that --zookeeper.servers does not name, or an election may be under way", "zkServer.sh status    # on each server"),
			"leader", "none of the servers named is the leader")
	}
	return modes
}

// Limits of a node: jute.maxbuffer is just below a mebibyte.
const (
	juteLimit  = 1<<20 - 1
	nodeTold   = juteLimit / 2
	nodeFails  = juteLimit * 9 / 10
	nodesAsked = 2000
)

// zookeeperInside is what is asked in a session. Its error says that there is none.
func (d *doctor) zookeeperInside(ctx context.Context, n *notes, s *zookeeper.Session, modes map[string]int) error {
	if err := s.Connected(ctx); err != nil {
		return err
	}
	d.ensemble(ctx, n, s, modes)
	asked := d.ZooKeeper.SessionTimeout
	if asked == 0 {
		asked = zookeeper.DefaultSessionTimeout
	}
	switch granted, err := s.Granted(ctx); {
	case err != nil:
		return err
	case granted != asked:
		n.say(warn("locks and membership of a process that is gone stay for as long as the servers gave",
			fmt.Sprintf("minSessionTimeout=1000 and maxSessionTimeout=%d    # in zoo.cfg; without them they are 2 and 20 times tickTime", max(asked, 60*time.Second).Milliseconds())),
			"session", "a session timeout of %s was asked for and %s granted", short(asked), short(granted))
	default:
		n.ok("session", "connected, session timeout %s", short(granted))
	}
	if _, _, err := s.Get(ctx, ""); err != nil {
		b := fail("the roles make it themselves where they may; what is missing here is mostly a wrong --zookeeper.root", d.bootstrap())
		if !errors.Is(err, zookeeper.ErrNoNode) {
			b = fail("no role can work under a root that it may not read", "correct --zookeeper.auth-file, or the access list of the node")
		}
		n.say(b, "root", "%v", err)
		n.skip("there is no root", "nodes", "sizes", "members", "clock")
		return nil
	}
	n.ok("root", "%s", d.root())
	var missing []string
	for _, node := range d.Nodes {
		if _, _, err := s.Get(ctx, node); err != nil {
			missing = append(missing, strings.TrimSuffix(d.root(), "/")+"/"+node)
		}
	}
	if len(missing) > 0 {
		n.say(warn("the roles make them themselves where their access list allows it", d.bootstrap()), "nodes", "missing: %s", some(missing))
	} else {
		n.ok("nodes", "all are there")
	}
	d.sizes(ctx, n, s)
	d.members(ctx, n, s)
	from, told, to, err := s.Clock(ctx, d.now)
	if err != nil {
		n.say(fail("a role that may not create a node has no locks", "correct --zookeeper.auth-file, or the access list of "+d.root()), "clock", "%v", err)
		return nil
	}
	d.clocks(n, []reading{{whose: "the ZooKeeper leader", asked: from, told: told, answered: to}})
	return nil
}

func (d *doctor) root() string {
	if d.ZooKeeper.Root == "" {
		return zookeeper.DefaultRoot
	}
	return d.ZooKeeper.Root
}

// ensemble judges its size, by its own word, or else by what the servers named say.
func (d *doctor) ensemble(ctx context.Context, n *notes, s *zookeeper.Session, modes map[string]int) {
	voters, err := s.Voters(ctx)
	if err != nil {
		n.say(warn("its size is not known", "zkCli.sh get /zookeeper/config"), "ensemble", "%v", err)
		return
	}
	if voters == 0 {
		voters = max(modes["standalone"], modes["leader"]+modes["follower"])
	}
	named := len(d.ZooKeeper.Servers)
	grow := "server.N=HOST:2888:3888    # one line for each of three servers in every zoo.cfg, and each one's number in its myid"
	switch {
	case voters == 0:
		n.skip("the servers do not tell how many they are", "ensemble")
	case voters == 1:
		n.say(warn("changes wait while it is down; three servers stand the loss of one", grow), "ensemble", "one server")
	case voters == 2:
		n.say(fail("the loss of either stops both: worse than one alone", grow), "ensemble", "2 servers")
	case voters%2 == 0:
		n.say(warn(fmt.Sprintf("it stands the loss of %d, as %d would", (voters-1)/2, voters-1), "remove one server, or add one"), "ensemble", "%d servers", voters)
	case named < voters:
		n.say(warn("a process that starts while these are down does not find the others", "--zookeeper.servers    # should name all of them"), "ensemble", "%d servers, of which --zookeeper.servers names %d", voters, named)
	default:
		n.ok("ensemble", "%d servers: it stands the loss of %d", voters, (voters-1)/2)
	}
}

func (d *doctor) sizes(ctx context.Context, n *notes, s *zookeeper.Session) {
	sizes, more, err := s.Sizes(ctx, nodesAsked)
	if err != nil {
		n.skip("the nodes cannot be read: "+err.Error(), "sizes")
		return
	}
	var worst zookeeper.NodeSize
	for _, z := range sizes {
		if max(z.Bytes, z.List) > max(worst.Bytes, worst.List) {
			worst = z
		}
	}
	what, weight := "data", worst.Bytes
	if worst.List > weight {
		what, weight = "names of children", worst.List
	}
	found := fmt.Sprintf("the heaviest of %d nodes is %s with %d bytes of %s", len(sizes), worst.Path, weight, what)
	if more {
		found += ", others were not looked at"
	}
	b := warn(fmt.Sprintf("servers and clients refuse %d bytes and more (jute.maxbuffer)", juteLimit), "zkCli.sh stat "+worst.Path+"    # remove what is foreign there, or lower --hotcount.top for lists of hotcount")
	switch {
	case weight >= nodeFails:
		b.severity = Failure
		fallthrough
	case weight >= nodeTold:
		n.say(b, "sizes", "%s", found)
	default:
		n.ok("sizes", "%s", found)
	}
}

func (d *doctor) members(ctx context.Context, n *notes, s *zookeeper.Session) {
	var count [2]int
	for i, role := range []string{"gateway", "cache"} {
		members, err := s.Children(ctx, zookeeper.MembersPath(role))
		if err != nil && !errors.Is(err, zookeeper.ErrNoNode) {
			n.skip("they cannot be read: "+err.Error(), "members")
			return
		}
		count[i] = len(members)
	}
	switch gateways, caches := count[0], count[1]; {
	case gateways == 0 && caches == 0:
		n.skip("no role runs yet", "members")
	case caches == 0:
		n.say(warn("changes wait, and what neither memory nor Redis has is answered with 503", "eshop cache --config FILE"), "members", "%d gateways and no cache process are registered", gateways)
	case gateways == 0:
		n.say(warn("nothing is served", "eshop gateway --config FILE"), "members", "%d cache processes and no gateway are registered", caches)
	default:
		n.ok("members", "%s, %s", Times(gateways, "gateway"), Times(caches, "cache"))
	}
}
