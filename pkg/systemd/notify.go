package systemd

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"eshop/pkg/lifecycle"
)

const (
	// beatEvery is the time between two beats where there is no watchdog.
	beatEvery = 10 * time.Second
	// statusEvery is the least time between two lines of status while something is waited for.
	statusEvery = time.Second
	// sendLimit bounds a notification: the manager may be too busy to take it.
	sendLimit = time.Second
	// maxStatus bounds the bytes of a line of status.
	maxStatus = 400
)

// Config of a Notifier.
type Config struct {
	// Stop is how long an orderly end may take, from the first sign of it on.
	Stop time.Duration
	// Serving says in a few words what the process serves. It is asked once, when it is ready.
	Serving func() string
	// Alive returns nil while every part of the process can do its work, whatever else is away. It is
	// called by one goroutine and ends with ctx.
	Alive func(ctx context.Context) error
}

// Deps are a Notifier's collaborators.
type Deps struct {
	Log   *slog.Logger
	Ready *lifecycle.Ready
}

// Notifier tells a service manager about this process.
type Notifier struct {
	cfg      Config
	log      *slog.Logger
	ready    *lifecycle.Ready
	socket   string        // "": there is no manager
	watchdog time.Duration // 0: there is none

	phase  atomic.Int32 // a phase; written by Run alone
	mu     sync.Mutex   // over status and at
	status string       // last told
	at     time.Time    // when
	dead   bool         // the last look found the process not to be alive
}

type phase = int32

const (
	starting phase = iota
	serving
	stopping
)

// New reads from the environment whether there is a service manager (NOTIFY_SOCKET) and a watchdog
// (WATCHDOG_USEC, WATCHDOG_PID).
func New(cfg Config, deps Deps) (*Notifier, error) {
	n := &Notifier{cfg: cfg, log: deps.Log, ready: deps.Ready, socket: os.Getenv("NOTIFY_SOCKET")}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if n.socket == "" {
		return n, nil
	}
	var err error
	if n.watchdog, err = daemon.SdWatchdogEnabled(false); err != nil {
		return nil, fmt.Errorf("read the service manager's watchdog interval from WATCHDOG_USEC and WATCHDOG_PID: %w", err)
	}
	return n, nil
}

// Run tells of the process until ctx ends, which is to be after all its parts have; process is the
// context whose end asks them to stop. Without a service manager it returns at once.
func (n *Notifier) Run(ctx, process context.Context) {
	if n.socket == "" {
		return
	}
	beat := time.NewTicker(cmp.Or(n.watchdog/2, beatEvery))
	defer beat.Stop()
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	asked := process.Done()
	for {
		changed := n.ready.Changed()
		n.look(process.Err() != nil)
		if n.phase.Load() != starting {
			tick.Stop()
		}
		if n.phase.Load() == stopping {
			asked = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-asked:
		case <-changed:
		case <-tick.C:
		case <-beat.C:
			n.beat(ctx)
		}
	}
}

// look moves on to the phase that the process is in. A condition that has once held is lost only by the
// beginning of the end (package lifecycle), whatever brought that about.
func (n *Notifier) look(asked bool) {
	reasons, phase := n.ready.Reasons(), n.phase.Load()
	switch {
	case phase == stopping:
	case asked || phase == serving && len(reasons) > 0:
		n.phase.Store(stopping)
		n.tell("stopping: requests under way are answered", daemon.SdNotifyStopping, extend(n.cfg.Stop))
	case phase == serving:
	case len(reasons) == 0:
		n.phase.Store(serving)
		n.tell("serving "+n.cfg.Serving(), daemon.SdNotifyReady)
	case time.Since(n.toldAt()) >= statusEvery:
		n.tell("not ready yet: " + strings.Join(reasons, "; "))
	}
}

// Reload runs a reload of the settings, which the manager is told of from the beginning to the end, with its outcome.
// That is true of a process that serves; of another, it is told what it waits for, or that it stops.
func (n *Notifier) Reload(reload func() (outcome string)) {
	if n.socket == "" || n.phase.Load() != serving {
		reload()
		return
	}
	n.send(daemon.SdNotifyReloading, daemon.SdNotifyMonotonicUsec())
	outcome := reload()
	if n.phase.Load() == serving { // else it is stopping, which is the last word
		n.tell("serving "+n.cfg.Serving()+"; "+time.Now().UTC().Format(time.RFC3339)+" "+outcome, daemon.SdNotifyReady)
	}
}

func (n *Notifier) toldAt() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.at
}

// beat shows that the process is alive, if it is. What is left of the time between two beats is more than
// the look may take, so a slow one makes the next no later than the watchdog allows.
func (n *Notifier) beat(ctx context.Context) {
	interval := cmp.Or(n.watchdog, 2*beatEvery)
	look, cancel := context.WithTimeoutCause(ctx, interval/4, fmt.Errorf("waited for %s", interval/4))
	defer cancel()
	if err := n.cfg.Alive(look); err != nil {
		if ctx.Err() != nil {
			return // the process has ended meanwhile
		}
		if !n.dead {
			n.log.Error("this process is not alive; unless that ends, the service manager restarts it", "err", err)
		}
		n.dead = true
		return
	}
	if n.dead {
		n.log.Info("this process is alive again")
		n.dead = false
	}
	if n.phase.Load() == starting {
		n.send(extend(2 * interval))
	}
	if n.watchdog > 0 {
		n.send(daemon.SdNotifyWatchdog)
	}
}

// extend asks for so much more time for the start or the stop.
func extend(d time.Duration) string { return fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", d.Microseconds()) }

// tell sends a line of status that differs from the last, with whatever else is to be said.
func (n *Notifier) tell(status string, lines ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.at = time.Now()
	status = strings.ToValidUTF8(strings.Join(strings.Fields(status), " "), "")
	if len(status) > maxStatus {
		status = strings.ToValidUTF8(status[:maxStatus], "") + "…"
	}
	if status != n.status {
		n.status = status
		lines = append(lines, "STATUS="+status)
	}
	if len(lines) > 0 {
		n.send(lines...)
	}
}

// send sends a notification. One that is lost is no reason to end: the next comes, or systemd acts.
func (n *Notifier) send(lines ...string) {
	if err := n.write(strings.Join(lines, "\n")); err != nil {
		n.log.Warn("the service manager could not be told", "of", lines, "err", err)
	}
}

// write is daemon.SdNotify with a limit: that one waits for as long as the manager takes nothing.
func (n *Notifier) write(message string) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(sendLimit)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(message))
	return err
}
