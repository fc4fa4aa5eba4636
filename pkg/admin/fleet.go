package admin

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// FleetPath is below what path a process answers the other processes of its fleet, on its internal
// listener and on this one: FleetPath + "/api/status" is /api/status.
const FleetPath = "/-/fleet"

// signatureAge is how old a signed change may be. Clocks must agree as well as that.
const signatureAge = time.Minute

const (
	authorHeader    = "Eshop-Author"
	signatureHeader = "Eshop-Signature"
)

// Fleet answers what is registered below /api/ to other processes of the fleet, for a listener of a
// role that they can reach. The requests must carry the cluster token, if there is one; if there is none
// they must come from this machine, unless the listener is proven: it lets in nobody but the fleet by
// itself, by certificates. (On this listener reads over loopback need nothing, here as elsewhere.) A change must be signed besides, with the admin token. Introduce does both for
// the one who asks. So nobody who cannot change anything here can by way of another process, and no admin
// token is ever sent.
func (s *Server) Fleet(proven bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !s.cluster.Admits([]byte(r.Header.Get("Authorization"))):
			w.Header().Set("WWW-Authenticate", `Bearer realm="eshop fleet"`)
			http.Error(w, "the cluster token is missing or wrong (--cluster.token-file)", http.StatusUnauthorized)
			return
		case s.cluster.Header() == "" && !proven && !(overLoopback(r) && namesLoopback(r.Host)):
			http.Error(w, "no cluster token is configured, so processes of this machine only are answered here: set --cluster.token-file", http.StatusForbidden)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			if err := s.verify(r); err != nil {
				http.Error(w, "the change is refused: "+err.Error(), http.StatusForbidden)
				return
			}
		}
		s.API().ServeHTTP(whole{w}, r)
	})
}

// API is what Fleet answers, for this process itself: nothing is asked of the request.
func (s *Server) API() http.Handler {
	return http.StripPrefix(FleetPath, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if by := r.Header.Get(authorHeader); by != "" {
			r = r.WithContext(context.WithValue(r.Context(), authorKey{}, by))
		}
		s.shared.ServeHTTP(w, r)
	}))
}

// whole lets an answer be written but not flushed: streams are for browsers.
type whole struct{ http.ResponseWriter }

type authorKey struct{}

// CanChange reports whether there is an admin token, without which there are no changes.
func (s *Server) CanChange() bool { return s.token.Load().set }

// Introduce has r, whose path is below FleetPath and which has no body, show the cluster token. If it is a
// change it is signed: another process with the same admin token takes it as asked for by author.
func (s *Server) Introduce(r *http.Request, author string) {
	if token := s.cluster.Header(); token != "" {
		r.Header.Set("Authorization", token)
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return
	}
	at := strconv.FormatInt(time.Now().UnixMilli(), 10)
	r.Header.Set(authorHeader, author)
	r.Header.Set(signatureHeader, at+" "+s.token.Load().signature(at, r))
}

func (d *tokenDigest) signature(at string, r *http.Request) string {
	mac := hmac.New(sha256.New, d.sum[:])
	fmt.Fprintf(mac, "%s\n%s\n%s\n%s\n%s", at, r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get(authorHeader))
	return hex.EncodeToString(mac.Sum(nil))
}

func (s *Server) verify(r *http.Request) error {
	token := s.token.Load()
	if !token.set {
		return errors.New("this process has no admin token (--admin.token-file)")
	}
	if r.ContentLength != 0 {
		return errors.New("one that comes from another process has no body")
	}
	at, mac, _ := strings.Cut(r.Header.Get(signatureHeader), " ")
	if !hmac.Equal([]byte(mac), []byte(token.signature(at, r))) {
		return errors.New("it is not signed with the admin token of this process: all processes of a fleet need the same --admin.token-file")
	}
	ms, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return errors.New("its time is none")
	}
	if age := time.Since(time.UnixMilli(ms)); age.Abs() > signatureAge {
		return fmt.Errorf("it was signed %v ago by the clock of this process, at most %v are allowed: the clocks differ", age.Round(time.Second), signatureAge)
	}
	return nil
}
