package reload

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"eshop/pkg/admin"
	"eshop/pkg/config"
)

// Answer is what a reload came to.
type Answer struct {
	OK bool      `json:"ok"`
	By string    `json:"by"`
	At time.Time `json:"at"`
	// Problems, with which nothing has changed.
	Problems []string `json:"problems,omitempty"`
	// Applied are settings that have changed, Restart those that will with a restart, Unchanged counts the others.
	Applied   []config.Change `json:"applied,omitempty"`
	Restart   []config.Change `json:"restart,omitempty"`
	Unchanged int             `json:"unchanged"`
	// Overruled are settings whose value in the file does not count: the command line or the environment has another.
	Overruled []string `json:"overruled,omitempty"`
	// Hash of what is in effect now.
	Hash string `json:"hash"`
}

// summary is the answer in a few words.
func (a Answer) summary() string {
	switch {
	case !a.OK && len(a.Problems) == 1:
		return "reload failed: " + a.Problems[0]
	case !a.OK:
		return fmt.Sprintf("reload failed: %d problems, the first: %s", len(a.Problems), a.Problems[0])
	case len(a.Restart) > 0:
		return fmt.Sprintf("reloaded, %s changed; a restart is needed for %s", count(len(a.Applied)), strings.Join(names(a.Restart), ", "))
	}
	return fmt.Sprintf("reloaded, %s changed", count(len(a.Applied)))
}

func count(n int) string {
	if n == 1 {
		return "1 setting"
	}
	return fmt.Sprintf("%d settings", n)
}

func names(changes []config.Change) (all []string) {
	for _, c := range changes {
		all = append(all, c.Name)
	}
	return all
}

func texts(changes []config.Change) (all []string) {
	for _, c := range changes {
		all = append(all, c.String())
	}
	return all
}

// Serve adds the reload to the admin API: POST /api/reload does one and answers 200, or 422 when nothing has changed
// because something is wrong; GET /api/reload tells of the last one.
func (r *Reloader) Serve(to *admin.Server) {
	to.HandleChange(http.MethodPost, "/api/reload", http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		a := r.Reload(admin.Author(q))
		code := http.StatusOK
		if !a.OK {
			code = http.StatusUnprocessableEntity
		}
		r.answer(w, code, a)
	}))
	to.Handle("/api/reload", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		r.answer(w, http.StatusOK, r.state())
	}))
	to.AddSection("settings", func() any { return r.state() })
}

func (r *Reloader) answer(w http.ResponseWriter, code int, v any) {
	if err := admin.Answer(w, code, v); err != nil {
		r.log.Debug("the answer to a reload was not delivered", "err", err)
	}
}

// state is what is known of the settings without a reload.
type state struct {
	Hash string  `json:"hash"`           // of what is in effect
	Last *Answer `json:"last,omitempty"` // nil: none yet
}

func (r *Reloader) state() state {
	r.mu.Lock()
	defer r.mu.Unlock()
	return state{r.hash, r.last}
}
