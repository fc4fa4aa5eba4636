package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// membership is this process's part in a consumer group on one topic: it joins,
// joins anew after trouble, leaves with the last commit made, and is watched
// (25). What happens to the partitions is its handler's business; C is what the
// handler keeps of each one it holds.
type membership[C tracked] struct {
	group, topic string
	brokers      []string
	conf         settings
	handler      sarama.ConsumerGroupHandler
	drain        time.Duration // how long claims may take to end
	stall        time.Duration
	log          *slog.Logger
	metrics      memberMetrics
	dir          *directory
	client       sarama.Client // of the current membership; set before the handler is called

	mu       sync.Mutex
	session  *groupSession[C]        // nil while there is none
	end      context.CancelCauseFunc // ends the session that is there or being made; nil while there is none
	sessions uint64                  // so far
	faults   uint64
	restarts uint64
	lastErr  error // since the last assignment
	stalls   stalls
}

// groupSession is one assignment of partitions.
type groupSession[C tracked] struct {
	member     string
	generation int32
	claims     map[int32]C
}

// tracked is a claim as the watchdog sees it: progress leaves out what only the brokers know.
type tracked interface {
	id() int32
	progress() claimObservation
}

var errRejoin = errors.New("asked to take the partitions anew")

// leaderless lets a member join although a partition has no leader: the
// client library would have all of the topic wait for it (24). The claim of such
// a partition waits by itself.
type leaderless struct{ sarama.Client }

func (c leaderless) RefreshMetadata(topics ...string) error {
	err := c.Client.RefreshMetadata(topics...)
	if errors.Is(err, sarama.ErrLeaderNotAvailable) {
		return nil
	}
	return err
}

// groupSettings puts what every member has in common into the client's settings.
func groupSettings(conf settings, session, commit time.Duration) {
	conf.Net.ReadTimeout = groupReadTimeout
	conf.Metadata.Full = false
	conf.Consumer.Return.Errors = true
	conf.Consumer.Retry.Backoff = 250 * time.Millisecond
	conf.Consumer.Offsets.AutoCommit.Enable = true // commits what is marked
	conf.Consumer.Offsets.AutoCommit.Interval = commit
	conf.Consumer.Group.Session.Timeout = session
	conf.Consumer.Group.Heartbeat.Interval = min(time.Second, session/4)
	conf.Consumer.Group.Rebalance.Timeout = 10 * time.Second
	conf.Consumer.Group.Rebalance.Retry.Max = 4
	conf.Consumer.Group.Rebalance.Retry.Backoff = 200 * time.Millisecond
	// The eager protocol: Setup and Cleanup are called at each rebalance, which the cooperative one does not do.
	conf.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategySticky()}
}

// run takes part in the group until ctx ends and then leaves it. Trouble with the brokers is waited out.
func (m *membership[C]) run(ctx context.Context) {
	defer m.dir.close()
	for failures := 0; ctx.Err() == nil; failures++ {
		started := time.Now()
		err := m.member(ctx)
		if ctx.Err() != nil {
			return
		}
		m.fault(err)
		if time.Since(started) > time.Minute {
			failures = 0
		}
		pause(ctx, Backoff{Min: 100 * time.Millisecond, Max: 2 * time.Second}.delay(failures))
	}
}

// member is one membership, from the first contact to a failure that calls for
// a new one. The connections outlive ctx by a little so that the last commit
// and the goodbye get through.
func (m *membership[C]) member(ctx context.Context) error {
	ctx, restart := context.WithCancelCause(ctx)
	defer restart(nil)
	wires, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	stopCut := context.AfterFunc(ctx, func() {
		// The end of ctx drains the claims; connections that hang are cut after that.
		timer := time.AfterFunc(m.drain+5*time.Second, cut)
		context.AfterFunc(wires, func() { timer.Stop() })
	})
	defer stopCut()
	// The first contact ends with ctx; it has no goodbye to make.
	if _, err := m.dir.fetch(ctx, false, m.topic); err != nil {
		return fmt.Errorf("reach the kafka brokers: %w", err)
	}
	client, err := sarama.NewClient(m.brokers, bind(wires, m.conf))
	if err != nil {
		return fmt.Errorf("join kafka group %s: %w", m.group, err)
	}
	defer func() { _ = client.Close() }()
	m.client = client
	cg, err := sarama.NewConsumerGroupFromClient(m.group, leaderless{client})
	if err != nil {
		return fmt.Errorf("join kafka group %s: %w", m.group, err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for err := range cg.Errors() {
			m.fault(err)
		}
	})
	wg.Go(func() { m.watch(ctx, restart) })
	err = m.consume(ctx, cg)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	restart(nil)
	if closeErr := cg.Close(); closeErr != nil && err == nil {
		err = closeErr
	}
	wg.Wait()
	return err
}

// consume goes from one assignment to the next until ctx ends or the membership is beyond help.
func (m *membership[C]) consume(ctx context.Context, cg sarama.ConsumerGroup) error {
	for failures := 0; ctx.Err() == nil; {
		session, end := context.WithCancelCause(ctx)
		m.mu.Lock()
		m.end = end
		began, faults := time.Now(), m.faults
		m.mu.Unlock()
		err := cg.Consume(session, []string{m.topic}, m.handler)
		asked := session.Err() != nil
		end(nil)
		m.mu.Lock()
		m.end = nil
		trouble := m.lastErr
		if m.faults == faults || time.Since(began) > time.Second {
			trouble = nil
		}
		m.mu.Unlock()
		switch {
		case asked:
			failures = 0
			continue
		case err != nil:
			m.fault(err)
		case trouble != nil: // a claim could not begin, or gave up at once, and would again
			err = trouble
		default:
			failures = 0
			continue
		}
		if errors.Is(err, sarama.ErrClosedConsumerGroup) || errors.Is(err, sarama.ErrClosedClient) || failures >= 5 {
			return err
		}
		pause(ctx, Backoff{Min: 100 * time.Millisecond, Max: time.Second}.delay(failures))
		failures++
	}
	return nil
}

// rejoin ends the assignment, or the making of one, so that another is made at once.
func (m *membership[C]) rejoin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.end != nil {
		m.end(errRejoin)
	}
}

// began notes an assignment.
func (m *membership[C]) began(s sarama.ConsumerGroupSession) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.session = &groupSession[C]{member: s.MemberID(), generation: s.GenerationID(), claims: make(map[int32]C)}
	m.sessions++
	m.lastErr = nil
	m.log.Info("kafka group member is assigned", "group", m.group, "topic", m.topic, "partitions", s.Claims()[m.topic], "generation", s.GenerationID())
}

// holds notes a partition that is complete enough to be looked at.
func (m *membership[C]) holds(c C) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.session != nil {
		m.session.claims[c.id()] = c
	}
}

// ended notes that the assignment is over.
func (m *membership[C]) ended() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.session = nil
}

// held lists the claims. Caller holds mu.
func (m *membership[C]) held() []C {
	if m.session == nil {
		return nil
	}
	claims := make([]C, 0, len(m.session.claims))
	for _, c := range m.session.claims {
		claims = append(claims, c)
	}
	return claims
}

func (m *membership[C]) fault(err error) {
	if err == nil {
		return
	}
	err = m.conf.explain(err)
	m.mu.Lock()
	first := m.lastErr == nil
	m.lastErr = err
	m.faults++
	m.mu.Unlock()
	m.metrics.faults.Inc()
	if first {
		m.log.Warn("kafka group has trouble with the brokers and goes on trying", "group", m.group, "error", err)
	}
}
