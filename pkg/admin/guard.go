package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// tokenDigest is the hash of a token: comparing hashes takes the same time whatever the lengths are.
type tokenDigest struct {
	set bool
	sum [sha256.Size]byte
}

func digest(token string) *tokenDigest {
	return &tokenDigest{set: token != "", sum: sha256.Sum256([]byte(token))}
}

// carriedBy reports whether the request carries the token, as a bearer token or as the password of
// basic authentication, which is what a browser can be made to send for reads.
func (d tokenDigest) carriedBy(r *http.Request, basicToo bool) bool {
	var given string
	if scheme, rest, found := strings.Cut(r.Header.Get("Authorization"), " "); found && strings.EqualFold(scheme, "Bearer") {
		given = strings.TrimSpace(rest)
	} else if _, password, ok := r.BasicAuth(); ok && basicToo {
		given = password
	}
	sum := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(sum[:], d.sum[:]) == 1 && d.set
}

// guard is around every request.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; connect-src 'self'; form-action 'none'; frame-ancestors 'none'")
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "no-referrer")
		if overLoopback(r) && !namesLoopback(r.Host) {
			http.Error(w, "this listener answers to localhost, 127.0.0.1 and [::1] only when it is reached over a loopback address; the request asked for another host", http.StatusMisdirectedRequest)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
		// A write deadline of the whole server would cut profiles off; one for each request does not.
		deadline := time.Now().Add(answerTimeout + profileSpan(r))
		if err := http.NewResponseController(w).SetWriteDeadline(deadline); err != nil {
			s.deps.Log.Debug("no write deadline for an admin request", "error", err)
		}
		next.ServeHTTP(w, r)
	})
}

// read registers a reading handler; open ones are for everyone.
func (s *Server) read(pattern string, h http.Handler, open bool) {
	if method, _, found := strings.Cut(pattern, " "); !found {
		pattern = http.MethodGet + " " + pattern
	} else if method != http.MethodGet {
		panic("admin: " + pattern + " is not a read: use HandleChange")
	}
	s.share(pattern, h)
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		token := s.token.Load()
		if open || overLoopback(r) || token.carriedBy(r, true) {
			h.ServeHTTP(w, r)
			return
		}
		if !token.set {
			http.Error(w, "no admin token is configured, so this is readable over loopback only: set --admin.token-file", http.StatusForbidden)
			return
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="eshop admin: the token is the password", charset="UTF-8"`)
		http.Error(w, "reads that do not come over loopback need the admin token", http.StatusUnauthorized)
	})
}

func (s *Server) guardChange(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := s.token.Load()
		switch {
		case !token.set:
			http.Error(w, "no admin token is configured, so nothing can be changed here: set --admin.token-file, and reload by signal or restart", http.StatusForbidden)
		case crossSite(r):
			http.Error(w, "the request comes from another site's page", http.StatusForbidden)
		case !token.carriedBy(r, false):
			w.Header().Set("WWW-Authenticate", `Bearer realm="eshop admin"`)
			http.Error(w, "changes need the header Authorization: Bearer <admin token>", http.StatusUnauthorized)
		default:
			h.ServeHTTP(w, r)
		}
	})
}

// crossSite reports whether a browser sent the request for a page of another origin. Programs send
// neither of the two headers.
func crossSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		return true
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host)
}

// overLoopback reports whether the request reached this process on a loopback address. It looks at
// the connection, not at what was bound: a listener on all addresses is reached both ways.
func overLoopback(r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	ap, err := netip.ParseAddrPort(addr.String())
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// namesLoopback reports whether a Host header names this machine by a name no foreign DNS can hold.
func namesLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// profileSpan is how long the profile that is asked for will take.
func profileSpan(r *http.Request) time.Duration {
	if !strings.HasPrefix(r.URL.Path, pprofPath) {
		return 0
	}
	seconds, err := strconv.Atoi(r.URL.Query().Get("seconds"))
	if err != nil || seconds <= 0 {
		seconds = 30 // what pprof takes unasked
	}
	return min(time.Duration(seconds)*time.Second, maxProfileSpan)
}
