package origin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"eshop/pkg/catalog"
)

// Config of the sample origin. Zero values mean the defaults.
type Config struct {
	// Addr to listen on (default "127.0.0.1:0").
	Addr string
	// DataDir keeps the edits; empty: they end with the process.
	DataDir string
	// PublicURL is how browsers reach this server, for the URLs of pictures
	// (default "http://" and the bound address).
	PublicURL string
	// Publish sends the message of a change and returns once it is safe; nil: none is sent.
	Publish func(ctx context.Context, ch catalog.Change) error
	// Catalog tells how versions are read (default: the built-in one).
	Catalog *catalog.Catalog
}

// Deps of the sample origin; a nil Log means none.
type Deps struct {
	Log *slog.Logger
}

// Server is a running sample origin.
type Server struct {
	cfg   Config
	log   *slog.Logger
	addr  string
	http  *http.Server
	store *store
	meter meter
	disk  disk

	life context.Context // ends with Close
	end  context.CancelFunc
	work sync.WaitGroup // the accept loop
	once sync.Once
	err  error
}

// Start reads the stored edits, listens and serves until Close. ctx bounds the
// start only.
func Start(ctx context.Context, cfg Config, deps Deps) (*Server, error) {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	if cfg.Catalog == nil {
		cfg.Catalog = catalog.Default()
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		cfg:   cfg,
		log:   deps.Log,
		store: &store{now: time.Now, edits: map[catalog.Key]*edit{}},
		meter: meter{pulls: map[catalog.Key]int64{}},
	}
	if cfg.DataDir != "" {
		if err := s.load(); err != nil {
			return nil, err
		}
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s for the sample origin: %w", cfg.Addr, err)
	}
	s.addr = ln.Addr().String()
	if cfg.PublicURL == "" {
		s.cfg.PublicURL = "http://" + reachable(s.addr)
	}
	s.store.pictures = s.cfg.PublicURL + "/pictures/"
	s.life, s.end = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(deps.Log.Handler(), slog.LevelDebug),
	}
	s.work.Go(func() {
		if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("The sample origin stopped serving.", "error", err)
		}
	})
	return s, nil
}

// reachable replaces a wildcard host, which no browser can open.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}

// Addr returns the bound host:port.
func (s *Server) Addr() string { return s.addr }

// URL returns the base URL readers use.
func (s *Server) URL() string { return "http://" + reachable(s.addr) }

// Close stops the server: requests under way have a second to end, delays
// among them end at once. It may be called again.
func (s *Server) Close() error {
	s.once.Do(func() {
		s.end()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := s.http.Shutdown(ctx); err != nil {
			s.err = s.http.Close()
		}
		s.work.Wait()
	})
	return s.err
}
