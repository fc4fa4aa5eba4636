package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Server is a running server. All methods may be called from any goroutine.
type Server struct {
	cfg   Config
	log   *slog.Logger
	ln    net.Listener
	store *store // nil without a data directory
	clock atomic.Int64
	saved int64 // zxid of the last snapshot; only the saving goroutine uses it, and Close after it
	stop  chan struct{}
	tasks sync.WaitGroup

	counts counts

	mu       sync.Mutex // guards everything below, and the order of all outboxes
	tree     *tree
	watches  *watchTable
	sessions map[int64]*session
	conns    map[*conn]struct{}
	zxid     int64 // of the last transaction
	closed   bool

	closing  sync.Once
	closeErr error
}

// Start opens the data directory, listens and serves until Close. ctx bounds the start only. An error says which setting, file or
// address is wrong; a data directory in use by another process is one.
func Start(ctx context.Context, cfg Config, deps Deps) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("the embedded ZooKeeper server has wrong settings: %w", err)
	}
	log := deps.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		cfg:      cfg,
		log:      log,
		stop:     make(chan struct{}),
		tree:     newTree(cfg.MaxNodes, cfg.MaxBytes),
		watches:  newWatchTable(),
		sessions: map[int64]*session{},
		conns:    map[*conn]struct{}{},
	}
	if err := s.open(ctx); err != nil {
		if s.ln != nil {
			s.ln.Close()
		}
		if s.store != nil {
			s.store.close()
		}
		return nil, fmt.Errorf("start the embedded ZooKeeper server: %w", err)
	}
	s.tasks.Go(s.accept)
	s.tasks.Go(s.tick)
	if s.store != nil {
		s.tasks.Go(s.saveFromTimeToTime)
	}
	log.Info("the embedded ZooKeeper server is listening", "addr", s.Addr(), "zxid", s.zxid)
	return s, nil
}

// open leaves a server that may serve: its epoch is above every zxid it or a predecessor has given out, and on disk.
func (s *Server) open(ctx context.Context) error {
	if s.cfg.DataDir != "" {
		store, err := openStore(s.cfg.DataDir)
		if err != nil {
			return err
		}
		s.store = store
		if err := s.load(); err != nil {
			return err
		}
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", s.cfg.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.cfg.Addr, err)
	}
	s.ln = ln
	return s.firstEpoch(time.Now())
}

// Addr is the bound host:port.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Close stops serving, waits for every goroutine and, with a data directory, writes a last snapshot. Sessions are not ended: they are in the
// snapshot. Further calls return the same error.
func (s *Server) Close() error {
	s.closing.Do(func() {
		s.mu.Lock()
		s.closed = true
		for c := range s.conns {
			c.drop()
		}
		s.mu.Unlock()
		close(s.stop)
		err := s.ln.Close()
		s.tasks.Wait()
		if s.store != nil {
			err = errors.Join(err, s.save(), s.store.close())
		}
		if err != nil {
			s.closeErr = fmt.Errorf("close the embedded ZooKeeper server: %w", err)
		}
	})
	return s.closeErr
}

func (s *Server) accept() {
	for {
		nc, err := s.ln.Accept()
		if err != nil {
			select {
			case <-s.stop:
				return
			case <-time.After(10 * time.Millisecond): // out of file descriptors: try again
				s.log.Warn("accepting a connection failed", "error", err)
				continue
			}
		}
		s.mu.Lock()
		if s.closed || len(s.conns) >= s.cfg.MaxConnections {
			s.counts.refusedConns.Add(1)
			s.mu.Unlock()
			nc.Close()
			continue
		}
		c := newConn(s, nc)
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		s.tasks.Go(c.serve)
	}
}

// tick drives session expiry and the removal of empty containers.
func (s *Server) tick() {
	ticker := time.NewTicker(s.cfg.TickTime)
	defer ticker.Stop()
	last, swept := time.Now(), time.Now()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
		}
		now := time.Now()
		s.clock.Add(int64(creditedTime(now.Sub(last), s.cfg.TickTime)))
		last = now
		s.expireSilent()
		if now.Sub(swept) >= s.cfg.ContainerInterval {
			swept = now
			s.removeEmptyContainers()
		}
	}
}

// removeEmptyContainers deletes the container nodes that had children once and have none now.
func (s *Server) removeEmptyContainers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for path := range s.tree.containers {
		n := s.tree.nodes[path]
		if n.creates == 0 || len(n.children) > 0 {
			continue
		}
		x, err := s.begin(0, nil)
		if err != nil {
			return
		}
		parentPath, _ := parentOf(path)
		x.drop(n, s.tree.nodes[parentPath])
		s.commit(x)
	}
}

// begin starts a transaction. It takes a zxid whether or not the write succeeds, as the real server does. The caller holds the lock.
func (s *Server) begin(session int64, who []identity) (*transaction, error) {
	zxid, err := s.nextZxid()
	if err != nil {
		return nil, err
	}
	s.zxid = zxid
	return &transaction{tree: s.tree, zxid: zxid, now: time.Now().UnixMilli(), session: session, who: who}, nil
}

// commit fires the watches of a finished transaction. The caller holds the lock.
func (s *Server) commit(x *transaction) { s.watches.fire(x.events) }

func (s *Server) refused(c *conn, err error) {
	select {
	case <-s.stop:
	default:
		s.log.Debug("a connection was closed", "client", c.net.RemoteAddr().String(), "reason", err)
	}
}
