package hotcount

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"eshop/pkg/admin"
	"eshop/pkg/hotlist"
)

// changeTimeout bounds one change: an operator waits for it.
const changeTimeout = 5 * time.Second

// defaultTop is how many products /api/top lists unasked.
const defaultTop = 100

// serve adds the role's part of the admin API.
func (r *Role) serve(adm *admin.Server) {
	adm.Handle("/api/hot", http.HandlerFunc(r.getHot))
	adm.Handle("/api/top", http.HandlerFunc(r.getTop))
	adm.Handle("/api/rule", http.HandlerFunc(r.getRule))
	adm.Handle("/api/live", r.live)
	adm.HandleChange(http.MethodPut, "/api/rule", http.HandlerFunc(r.putRule))
	r.marks().Serve(adm)
	adm.AddSection("hotcount", r.status)
	mountDashboard(adm)
}

// listing is the answer of /api/hot and /api/top.
type listing struct {
	Keys      []listed `json:"keys"`
	Watermark string   `json:"watermark"` // RFC 3339; empty while none is known
}

type listed struct {
	ID     string  `json:"id"`
	Count  int64   `json:"count"` // hits in the window
	Rate   float64 `json:"rate"`  // hits a second over the window
	Since  string  `json:"since,omitempty"`
	Reason string  `json:"reason,omitempty"` // "rule" or "pin"; none for a product that is not hot
}

func (r *Role) getHot(w http.ResponseWriter, _ *http.Request) {
	b := r.board()
	out := listing{Keys: []listed{}, Watermark: stamp(b.watermark)}
	for _, k := range b.hot {
		out.Keys = append(out.Keys, listed{decimal(k.id), k.count, k.rate, stamp(k.since), k.reason})
	}
	admin.Answer(w, http.StatusOK, out)
}

func (r *Role) getTop(w http.ResponseWriter, req *http.Request) {
	most, n := r.shared.rule.Load().Top, defaultTop
	if text := req.URL.Query().Get("n"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 || n > most {
			admin.Refuse(w, http.StatusBadRequest, fmt.Sprintf("n=%s: give a number from 1 to %d, the length of the ranking in the rule", text, most))
			return
		}
	}
	b := r.board()
	hot := map[int64]hotState{}
	for _, k := range b.hot {
		hot[k.id] = k
	}
	out := listing{Keys: []listed{}, Watermark: stamp(b.watermark)}
	for _, c := range b.top[:min(n, most, len(b.top))] {
		h := hot[c.ID]
		out.Keys = append(out.Keys, listed{decimal(c.ID), c.N, b.rates[c.ID], stamp(h.since), h.reason})
	}
	admin.Answer(w, http.StatusOK, out)
}

func (r *Role) getRule(w http.ResponseWriter, _ *http.Request) {
	admin.Answer(w, http.StatusOK, r.shared.rule.Load())
}

// putRule stores a rule for all processes. A field that is not given keeps its
// value.
func (r *Role) putRule(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	rule := *r.shared.rule.Load()
	if err == nil {
		err = merge(&rule, body)
	}
	if err != nil {
		refuseRule(w, err)
		return
	}
	// Onto the rule that is stored, which this process may not have heard of yet.
	refused := false
	if !r.change(w, req, "the rule was not stored", func(ctx context.Context) (err error) {
		rule, err = r.lists.ChangeRule(ctx, r.cfg.Rule, func(stored *hotlist.Rule) error {
			err := merge(stored, body)
			refused = err != nil
			return err
		})
		if refused {
			refuseRule(w, err)
			return errAnswered
		}
		return err
	}) {
		return
	}
	r.log.Info("rule stored by an operator", "rule", rule, "by", admin.Author(req))
	admin.Answer(w, http.StatusOK, rule)
}

// merge changes the fields of a rule that are given.
func merge(rule *hotlist.Rule, body []byte) error {
	in := json.NewDecoder(bytes.NewReader(body))
	in.DisallowUnknownFields()
	if err := in.Decode(rule); err != nil {
		return err
	}
	if in.More() {
		return errors.New("there is more than one JSON value")
	}
	return rule.Validate()
}

func refuseRule(w http.ResponseWriter, err error) {
	admin.Refuse(w, http.StatusBadRequest, fmt.Sprintf(`the rule is not stored: %v; send those fields of GET /api/rule that shall change, as in {"floor":300,"hold":"8s"}`, err))
}

// errAnswered says that a change was refused and the client told why.
var errAnswered = errors.New("refused")

// marks is the part of the API that other roles have too.
func (r *Role) marks() hotlist.API {
	return hotlist.API{Client: r.lists, State: func() string { return r.zk.State().String() }, Log: r.log}
}

// change makes a change in ZooKeeper and answers when it fails.
func (r *Role) change(w http.ResponseWriter, req *http.Request, failed string, apply func(ctx context.Context) error) bool {
	ctx, cancel := context.WithTimeout(req.Context(), changeTimeout)
	defer cancel()
	err := apply(ctx)
	if err != nil && !errors.Is(err, errAnswered) {
		r.marks().Refuse(w, req, failed, err)
	}
	return err == nil
}

func sortedIDs[V any](m map[int64]V) []int64 { return slices.Sorted(maps.Keys(m)) }
