package admin

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/credential"
	"eshop/pkg/lifecycle"

	"github.com/prometheus/client_golang/prometheus"
)

// Limits of the listener. Operators and scrapers are few; whoever needs more is not one of them.
const (
	maxConnections = 1024
	maxHeaderBytes = 16 << 10
	maxBodyBytes   = 1 << 20
	headerTimeout  = 5 * time.Second
	readTimeout    = 10 * time.Second
	answerTimeout  = 30 * time.Second // raised for profiles by the seconds they ask for
	idleTimeout    = 2 * time.Minute
	drainTimeout   = 5 * time.Second
	maxProfileSpan = time.Minute
)

// Config says where the listener is and what it shows.
type Config struct {
	Addr  string // host:port; port 0 takes a free one
	Flag  string // the flag Addr came from, named when it cannot be bound; may be empty
	Token string // the admin token; empty: no changes, and no reads but over loopback
	// ClusterToken is what the processes of a fleet show each other, see Fleet; one a line.
	// Empty: those of this machine need none.
	ClusterToken string
	Role         string // shown on the status page: "gateway"
	Build        Build  // shown on the status page
}

// Deps are what a Server reads from; each may be nil.
type Deps struct {
	Log      *slog.Logger
	Gatherer prometheus.Gatherer // nil: /metrics is empty
	Ready    *lifecycle.Ready    // nil: always ready
	Catalog  *catalog.Catalog    // nil: any kind may be asked for
}

// Server is the admin listener of one process.
type Server struct {
	cfg     Config
	deps    Deps
	token   atomic.Pointer[tokenDigest]
	cluster *credential.Tokens
	mux     *http.ServeMux
	shared  *http.ServeMux // what Fleet answers
	page    *template.Template
	started time.Time

	mu       sync.Mutex
	listener net.Listener
	ownFront http.Handler // nil: the status page
	sections []section
	layers   []layer
	urls     URLs // nil: no role here knows URLs
	served   map[string]bool
}

// New returns a server with the built-in pages. It does no I/O.
func New(cfg Config, deps Deps) *Server {
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.Gatherer == nil {
		deps.Gatherer = prometheus.NewRegistry()
	}
	if deps.Ready == nil {
		deps.Ready = &lifecycle.Ready{}
	}
	s := &Server{
		cfg: cfg, deps: deps, cluster: credential.NewTokens(cfg.ClusterToken), mux: http.NewServeMux(), shared: http.NewServeMux(),
		page:    template.Must(template.New("status").Parse(statusTemplate)), // a constant: a test has parsed it
		started: time.Now(),
	}
	s.token.Store(digest(cfg.Token))
	s.builtin()
	return s
}

// SetTokens changes the tokens of Config for requests to come.
func (s *Server) SetTokens(to Config) {
	s.token.Store(digest(to.Token))
	s.cluster.Set(to.ClusterToken)
}

// Handle serves reads: GET and HEAD of pattern, a path of http.ServeMux with or without a leading
// "GET ". The handler must not change anything. It panics when the pattern is taken or names another method.
func (s *Server) Handle(pattern string, h http.Handler) {
	s.read(pattern, h, false)
}

// HandleChange serves requests that change state: method is POST, PUT, PATCH or DELETE, path one of
// http.ServeMux. The handler is called only for requests with the admin token; their bodies are cut
// off at 1 MiB. It panics when the pattern is taken or the method is a reading one.
func (s *Server) HandleChange(method, path string, h http.Handler) {
	switch method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		panic(fmt.Sprintf("admin: %s %s cannot change anything: use POST, PUT, PATCH or DELETE", method, path))
	}
	s.mux.Handle(method+" "+path, s.guardChange(h))
	s.share(method+" "+path, h)
}

// share lets Fleet answer a pattern of the API.
func (s *Server) share(pattern string, h http.Handler) {
	if _, path, _ := strings.Cut(pattern, " "); strings.HasPrefix(path, "/api/") {
		s.shared.Handle(pattern, h)
	}
}

// First reports whether nobody has asked this before for a path. Roles of one process that could all
// serve it let the first of them do so.
func (s *Server) First(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.served[path] {
		return false
	}
	if s.served == nil {
		s.served = map[string]bool{}
	}
	s.served[path] = true
	return true
}

// Listen binds the address. It is called by Run when it was not called before; calling it first makes
// Addr known, and an occupied port an error, before anything else starts.
func (s *Server) Listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		return nil
	}
	l, err := net.Listen("tcp", s.cfg.Addr)
	if err != nil {
		if s.cfg.Flag == "" {
			return fmt.Errorf("listen for admin requests on %s: %w", s.cfg.Addr, err)
		}
		return fmt.Errorf("listen for admin requests on %s (--%s): %w", s.cfg.Addr, strings.TrimLeft(s.cfg.Flag, "-"), err)
	}
	s.listener = l
	return nil
}

// Addr returns the bound host:port, "" before Listen.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Run serves until ctx is cancelled, gives requests under way five seconds to end, closes what
// remains and returns nil. Any other return is an error.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	s.mu.Lock()
	listener := s.listener
	s.mu.Unlock()

	requests, cancelRequests := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelRequests()
	server := &http.Server{
		Handler:           s.guard(s.mux),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.deps.Log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return requests },
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(limit(listener, maxConnections)) }()
	s.deps.Log.Info("admin listener is open", "url", "http://"+listener.Addr().String()+"/")

	select {
	case err := <-served:
		return fmt.Errorf("serve admin requests on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		s.deps.Log.Warn("admin requests were cut off", "error", err)
		cancelRequests()
		if err := server.Close(); err != nil {
			s.deps.Log.Warn("the admin listener did not close cleanly", "error", err)
		}
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve admin requests on %s: %w", listener.Addr(), err)
	}
	return nil
}
