package doctor

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/kafka"
	"eshop/pkg/origin"
	"eshop/pkg/rediscluster"
	"eshop/pkg/zookeeper"
)

// Config says what to look at: what the roles are configured with. A dependency
// without an address is skipped.
type Config struct {
	Redis     rediscluster.Config
	Kafka     kafka.Config
	ZooKeeper zookeeper.Config
	Origin    origin.Config
	Catalog   *catalog.Catalog
	// Samples are ids that the shop's services know, by kind; 1 for a kind that
	// is not listed.
	Samples map[string]int64

	TopicChange, TopicAccess, TopicInvalidate, TopicDead string
	GroupCache, GroupHotcount                            string

	// Nodes are those that eshop bootstrap creates under the root.
	Nodes []string

	// MaxStaleness is --gateway.max-staleness. Replay is how far back a process
	// reads the invalidations when it starts, Window how far back hotcount reads
	// the access log for the rule its flags give, MaxWindow for the longest rule.
	MaxStaleness, Replay, Window, MaxWindow time.Duration

	// Own is what is to be said of this process's settings and machine.
	Own Own
	// Canary has a document of the doctor's own written, announced, read back and
	// removed.
	Canary bool
	// Timeout bounds the questions to each dependency, and the canary (10 s each).
	Timeout time.Duration
}

// Deps are optional collaborators.
type Deps struct {
	Log *slog.Logger // of the clients; nil: they are silent
	// Now is the clock that the others are compared with (time.Now).
	Now func() time.Time
	// Progress is called every second with the areas that are being looked at.
	Progress func(areas []string)
}

// doctor is one run.
type doctor struct {
	Config
	log *slog.Logger
	now func() time.Time
}

// area is a dependency, or what else is looked at as a whole.
type area struct {
	name  string
	check func(ctx context.Context, n *notes)
}

// Run looks at everything, the dependencies side by side, and then lets the
// canary fly if all it needs is there. It changes nothing that outlives it.
func Run(ctx context.Context, cfg Config, deps Deps) Report {
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Catalog == nil {
		cfg.Catalog = catalog.Default()
	}
	d := &doctor{Config: cfg, log: deps.Log, now: deps.Now}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.now == nil {
		d.now = time.Now
	}
	seen := &progress{tell: deps.Progress}
	defer seen.start()()
	first := []area{{"settings", d.own}, {"redis", d.redis}, {"kafka", d.kafka}, {"zookeeper", d.zookeeper}, {"origin", d.origin}}
	all := make([]notes, len(first))
	var wg sync.WaitGroup
	for i, a := range first {
		all[i].area = a.name
		wg.Go(func() {
			defer seen.begin(a.name)()
			ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
			defer cancel()
			a.check(ctx, &all[i])
		})
	}
	wg.Wait()
	var r Report
	for _, n := range all {
		r.Findings = append(r.Findings, n.findings...)
	}
	canary := notes{area: "canary"}
	defer seen.begin("canary")()
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	d.canary(ctx, r, &canary)
	r.Findings = append(r.Findings, canary.findings...)
	return r
}

// progress tells what is under way once it takes longer than a second.
type progress struct {
	tell    func([]string)
	mu      sync.Mutex
	running []string
}

func (p *progress) begin(area string) (end func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = append(p.running, area)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.running = slices.DeleteFunc(p.running, func(a string) bool { return a == area })
	}
}

func (p *progress) start() (stop func()) {
	if p.tell == nil {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			p.mu.Lock()
			running := slices.Clone(p.running)
			p.mu.Unlock()
			p.tell(running)
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}
