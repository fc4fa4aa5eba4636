package cache

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"eshop/pkg/admin"
)

// prewarmAnswer is the JSON of /api/prewarm.
type prewarmAnswer struct {
	// State is none (there was none yet), waiting (no process has begun it yet),
	// running or finished.
	State      string     `json:"state"`
	Generation int64      `json:"generation,omitempty"`
	Reason     string     `json:"reason,omitempty"`
	By         string     `json:"by,omitempty"`     // the process that was asked
	Runner     string     `json:"runner,omitempty"` // the process that does it
	Started    *time.Time `json:"started,omitempty"`
	Finished   *time.Time `json:"finished,omitempty"`
	Seconds    float64    `json:"seconds"` // from its start to now, or to its end

	Total   int `json:"total"` // products of the plan
	Done    int `json:"done"`  // pulled, present or absent
	Pulled  int `json:"pulled"`
	Present int `json:"present"`
	Absent  int `json:"absent"`
	Failed  int `json:"failed"`
	Related int `json:"related"`
	Retry   int `json:"retry"` // round in which what has failed is tried again

	Rate        float64  `json:"rate"` // products a second
	SecondsLeft *float64 `json:"secondsLeft,omitempty"`
	Waiting     string   `json:"waiting,omitempty"`
	Fault       string   `json:"fault,omitempty"`
	// Silent is how many seconds ago the runner was last heard of, while running:
	// a second or less when all is well.
	Silent *float64 `json:"silent,omitempty"`
}

func answerOf(s prewarmState, now time.Time) prewarmAnswer {
	a := prewarmAnswer{State: "none", Generation: s.Generation, Reason: s.Reason, By: s.By, Runner: s.Runner,
		Total: s.Total, Done: s.done(), Pulled: s.Pulled, Present: s.Present, Absent: s.Absent, Failed: s.Failed, Related: s.Related,
		Retry: s.Round, Rate: s.Rate, Waiting: s.Waiting, Fault: s.Fault}
	if s.Generation == 0 {
		return a
	}
	if s.Started == 0 {
		a.State = "waiting"
		return a
	}
	a.Started = timeOf(s.Started)
	if s.Finished != 0 {
		a.State, a.Finished = "finished", timeOf(s.Finished)
		a.Seconds = float64(s.Finished-s.Started) / 1000
		a.Rate = 0
		if a.Seconds > 0 {
			a.Rate = float64(s.Total) / a.Seconds
		}
		return a
	}
	a.State, a.Seconds = "running", max(0, float64(now.UnixMilli()-s.Started)/1000)
	silent := max(0, float64(now.UnixMilli()-s.Updated)/1000)
	a.Silent = &silent
	if left, known := s.secondsLeft(); known {
		a.SecondsLeft = &left
	}
	return a
}

func timeOf(ms int64) *time.Time {
	t := time.UnixMilli(ms).UTC()
	return &t
}

// adminLimit bounds how long an operator waits for ZooKeeper.
const adminLimit = 5 * time.Second

// serve adds the command and its progress to the admin API.
//
// POST /api/prewarm answers 202 with the generation it has asked for, or 409 with
// the state of the one that is under way, in whatever process. GET answers with
// the state of the latest. Both answer 503 while ZooKeeper is away.
func (p *prewarm) serve(a *admin.Server) {
	a.First("/api/prewarm")
	a.HandleChange(http.MethodPost, "/api/prewarm", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), adminLimit)
		defer cancel()
		s, asked, err := p.request(ctx, reasonCommand)
		switch {
		case err != nil:
			p.answer(w, http.StatusServiceUnavailable, map[string]string{"error": fmt.Sprintf("ask for a prewarm: %v", err)})
		case asked:
			p.log.Info("a prewarm was asked for by an operator", "generation", s.Generation)
			p.answer(w, http.StatusAccepted, answerOf(s, time.Now()))
		default:
			p.answer(w, http.StatusConflict, answerOf(s, time.Now()))
		}
	}))
	a.Handle("/api/prewarm", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), adminLimit)
		defer cancel()
		state, request := p.nodes()
		s, q, err := p.read(ctx, state, request)
		switch {
		case err != nil:
			p.answer(w, http.StatusServiceUnavailable, map[string]string{"error": fmt.Sprintf("read the state of the prewarm: %v", err)})
			return
		case !s.unfinished() && q.Generation > s.Generation:
			s = pending(q)
		}
		p.answer(w, http.StatusOK, answerOf(s, time.Now()))
	}))
}

func (p *prewarm) answer(w http.ResponseWriter, code int, v any) {
	if err := admin.Answer(w, code, v); err != nil {
		p.log.Debug("an answer about the prewarm was not delivered", "err", err)
	}
}
