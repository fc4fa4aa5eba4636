package admin

import (
	"fmt"
	"mime"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
	"time"

	"eshop/pkg/lifecycle"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const pprofPath = "/debug/pprof/"

func (s *Server) builtin() {
	s.read("/{$}", http.HandlerFunc(s.front), false)
	s.read("/status", http.HandlerFunc(s.statusPage), false)
	s.read("/api/status", http.HandlerFunc(s.status), false)
	s.read("/-/healthy", http.HandlerFunc(s.healthy), true)
	s.read("/-/ready", http.HandlerFunc(s.ready), true)
	s.read("/metrics", promhttp.HandlerFor(s.deps.Gatherer, promhttp.HandlerOpts{
		MaxRequestsInFlight: 4,
		ErrorHandling:       promhttp.ContinueOnError,
	}), true)
	fleet := s.Fleet(false)
	s.mux.HandleFunc(FleetPath+"/", func(w http.ResponseWriter, r *http.Request) {
		if (r.Method == http.MethodGet || r.Method == http.MethodHead) && overLoopback(r) { // as all reads here
			s.API().ServeHTTP(whole{w}, r)
			return
		}
		fleet.ServeHTTP(w, r)
	})
	s.read(pprofPath, bounded(pprof.Index), false)
	s.read(pprofPath+"cmdline", http.HandlerFunc(pprof.Cmdline), false)
	s.read(pprofPath+"symbol", http.HandlerFunc(pprof.Symbol), false)
	s.read(pprofPath+"profile", bounded(pprof.Profile), false)
	s.read(pprofPath+"trace", bounded(pprof.Trace), false)
}

// bounded refuses profiles that would take longer than maxProfileSpan.
func bounded(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if seconds, err := strconv.ParseFloat(r.URL.Query().Get("seconds"), 64); err == nil && seconds > maxProfileSpan.Seconds() {
			http.Error(w, fmt.Sprintf("a profile takes at most %.0f seconds", maxProfileSpan.Seconds()), http.StatusBadRequest)
			return
		}
		h(w, r)
	})
}

// readiness is the JSON form of /-/ready.
type readiness struct {
	Ready      bool                  `json:"ready"`
	Reasons    []string              `json:"reasons"`
	Conditions []lifecycle.Condition `json:"conditions"`
}

func (s *Server) readiness() readiness {
	all := readiness{Ready: true, Reasons: []string{}, Conditions: s.deps.Ready.Conditions()}
	for _, c := range all.Conditions {
		if c.OK {
			continue
		}
		all.Ready = false
		all.Reasons = append(all.Reasons, strings.TrimSuffix(c.Name+": "+c.Reason, ": "))
	}
	return all
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	state, code := s.readiness(), http.StatusOK
	if !state.Ready {
		code = http.StatusServiceUnavailable
	}
	if wantsJSON(r) {
		s.answer(w, code, state)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	if state.Ready {
		fmt.Fprintln(w, "ready")
		return
	}
	fmt.Fprintln(w, "not ready")
	for _, reason := range state.Reasons {
		fmt.Fprintln(w, reason)
	}
}

// wantsJSON reports whether the request asks for JSON by name.
func wantsJSON(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		if t, _, err := mime.ParseMediaType(part); err == nil && t == "application/json" {
			return true
		}
	}
	return false
}

// answer is Answer, with a line in the log when it fails.
func (s *Server) answer(w http.ResponseWriter, code int, v any) {
	if err := Answer(w, code, v); err != nil {
		s.deps.Log.Debug("an admin answer was not delivered", "error", err)
	}
}

// statusAnswer is the JSON of /api/status.
type statusAnswer struct {
	Role          string    `json:"role"`
	Build         Build     `json:"build"`
	Started       time.Time `json:"started"`
	UptimeSeconds float64   `json:"uptimeSeconds"`
	readiness
	Sections map[string]any `json:"sections"`
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	sections := s.added()
	values := make(map[string]any, len(sections))
	for _, sec := range sections {
		values[sec.title] = sec.value()
	}
	s.answer(w, http.StatusOK, statusAnswer{
		Role: s.cfg.Role, Build: s.cfg.Build,
		Started: s.started, UptimeSeconds: time.Since(s.started).Seconds(),
		readiness: s.readiness(), Sections: values,
	})
}
