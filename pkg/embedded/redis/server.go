package redis

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/prometheus/client_golang/prometheus"
)

// Config says where the server listens.
type Config struct {
	Addr    string // host:port, default 127.0.0.1:0
	DataDir string
}

// Deps are what a Server uses of the process. Nil members are left out.
type Deps struct {
	Log      *slog.Logger
	Registry prometheus.Registerer
}

// Server is a running server.
type Server struct {
	mini *miniredis.Miniredis
	addr string
	once sync.Once
}

// Start starts a server.
func Start(_ context.Context, cfg Config, _ Deps) (*Server, error) {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	mini := miniredis.NewMiniRedis()
	if err := mini.StartAddr(cfg.Addr); err != nil {
		return nil, fmt.Errorf("start the embedded redis on %s: %w", cfg.Addr, err)
	}
	for _, cmd := range []string{"READONLY", "READWRITE", "ASKING"} {
		if err := mini.Server().Register(cmd, func(c *server.Peer, _ string, _ []string) { c.WriteOK() }); err != nil {
			mini.Close()
			return nil, fmt.Errorf("start the embedded redis: %w", err)
		}
	}
	return &Server{mini: mini, addr: mini.Addr()}, nil
}

// Addr returns the bound host:port.
func (s *Server) Addr() string { return s.addr }

// Close stops the server.
func (s *Server) Close() error {
	s.once.Do(s.mini.Close)
	return nil
}
