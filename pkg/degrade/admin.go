package degrade

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"eshop/pkg/admin"
)

// changeTimeout bounds one change: an operator waits for it.
const changeTimeout = 5 * time.Second

// API is the switches on an admin listener.
type API struct {
	Client *Client
	State  *State
	Kinds  []string // that are configured
}

// Serve adds GET, POST and DELETE of /api/degrade. Of the roles of one process
// the first serves it: the switches are the same for all.
func (a API) Serve(adm *admin.Server) {
	const path = "/api/degrade"
	if !adm.First(path) {
		return
	}
	adm.Handle(path, http.HandlerFunc(a.get))
	adm.HandleChange(http.MethodPost, path, http.HandlerFunc(a.set))
	adm.HandleChange(http.MethodDelete, path, http.HandlerFunc(a.clear))
}

// Shown is a switch as the admin API tells of it.
type Shown struct {
	Kind  string    `json:"kind"`
	Mode  string    `json:"mode"`
	By    string    `json:"by"`
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
}

func show(s Switch) Shown {
	return Shown{Kind: s.Kind, Mode: s.Mode.String(), By: s.By, Since: time.UnixMilli(s.Since).UTC(), Until: time.UnixMilli(s.Until).UTC()}
}

// Status is what /api/status tells: every switch that is in effect here.
func (s *State) Status() []Shown { return s.shown(func(Switch) bool { return true }) }

// Explain is what /api/explain tells of a kind: the switches in effect for it.
func (s *State) Explain(kind string) []Shown {
	return s.shown(func(sw Switch) bool { return sw.Kind == kind || sw.Kind == Every })
}

func (s *State) shown(of func(Switch) bool) []Shown {
	list := []Shown{}
	for _, sw := range s.Switches() {
		if of(sw) {
			list = append(list, show(sw))
		}
	}
	return list
}

func (a API) get(w http.ResponseWriter, _ *http.Request) {
	admin.Answer(w, http.StatusOK, map[string]any{"switches": a.State.Status()})
}

func (a API) set(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	kind, err := a.kind(q.Get("kind"))
	mode, wrongMode := ParseMode(q.Get("mode"))
	length, wrongLength := time.ParseDuration(q.Get("for"))
	if wrongLength != nil || length < MinFor || length > MaxFor {
		wrongLength = fmt.Errorf("for=%.40q: say how long, as in for=15m, from %v to %v", q.Get("for"), MinFor, MaxFor)
	}
	by, wrongBy := author(r)
	if err = errors.Join(err, wrongMode, wrongLength, wrongBy); err != nil {
		admin.Refuse(w, http.StatusBadRequest, strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), changeTimeout)
	defer cancel()
	s, err := a.Client.Set(ctx, kind, mode, length, by)
	switch {
	case errors.Is(err, ErrFull):
		admin.Refuse(w, http.StatusConflict, err.Error())
	case err != nil:
		away(w, err)
	default:
		admin.Answer(w, http.StatusOK, show(s))
	}
}

func (a API) clear(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	kind, err := a.kind(q.Get("kind"))
	modes := NoOrigin | StaleOnly
	if text := q.Get("mode"); text != "" {
		var wrong error
		modes, wrong = ParseMode(text)
		err = errors.Join(err, wrong)
	}
	by, wrongBy := author(r)
	if err = errors.Join(err, wrongBy); err != nil {
		admin.Refuse(w, http.StatusBadRequest, strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), changeTimeout)
	defer cancel()
	ended, err := a.Client.Clear(ctx, kind, modes, by)
	if err != nil {
		away(w, err)
		return
	}
	admin.Answer(w, http.StatusOK, map[string]any{"ended": ended})
}

// kind reads the parameter. All kinds have to be asked for by name: a forgotten
// parameter must not degrade the whole shop.
func (a API) kind(text string) (string, error) {
	if text == Every || slices.Contains(a.Kinds, text) {
		return text, nil
	}
	return "", fmt.Errorf("kind=%.40q: it is one of %s, or %s for all", text, strings.Join(a.Kinds, ", "), Every)
}

// author is who asked: the name given, and the address as far as the connection
// tells. The token says only that whoever holds it may.
func author(r *http.Request) (string, error) {
	host := admin.Author(r)
	by := r.URL.Query().Get("by")
	switch {
	case by == "":
		return host, nil
	case len(by) > MaxBy/2 || strings.ContainsFunc(by, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return "", fmt.Errorf("by=%.40q: give a name of at most %d printable bytes", by, MaxBy/2)
	}
	return by + " at " + host, nil
}

func away(w http.ResponseWriter, err error) {
	w.Header().Set("Retry-After", "5")
	admin.Refuse(w, http.StatusServiceUnavailable, err.Error()+": nothing was changed as far as is known; try again when ZooKeeper answers")
}
