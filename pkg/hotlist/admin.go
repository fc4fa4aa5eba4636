package hotlist

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"eshop/pkg/admin"
	"eshop/pkg/catalog"
)

// changeTimeout bounds one change: an operator waits for it.
const changeTimeout = 5 * time.Second

// API is pins and bans on an admin listener.
type API struct {
	Client *Client
	// State says how the ZooKeeper session is, for whoever is refused.
	State func() string
	Log   *slog.Logger
}

// Serve adds POST and DELETE of /api/pin?id= and /api/ban?id=. Of the parts of one process the first
// serves them: they are the same for all.
func (a API) Serve(adm *admin.Server) {
	for _, m := range []struct {
		method, path, state string
		apply               func(ctx context.Context, id int64, by string) error
	}{
		{http.MethodPost, "/api/pin", "pinned", a.Client.Pin},
		{http.MethodDelete, "/api/pin", "pinned no more", a.Client.Unpin},
		{http.MethodPost, "/api/ban", "banned", a.Client.Ban},
		{http.MethodDelete, "/api/ban", "banned no more", a.Client.Unban},
	} {
		if adm.First(m.method + " " + m.path) {
			adm.HandleChange(m.method, m.path, a.mark(m.state, m.apply))
		}
	}
}

// mark serves a change of one product's pin or ban, which the client logs.
func (a API) mark(state string, apply func(ctx context.Context, id int64, by string) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		id, err := catalog.ParseID(req.URL.Query().Get("id"))
		if err != nil {
			admin.Refuse(w, http.StatusBadRequest, fmt.Sprintf("%v: say which product, as in ?id=7", err))
			return
		}
		ctx, cancel := context.WithTimeout(req.Context(), changeTimeout)
		defer cancel()
		text := strconv.FormatInt(id, 10)
		if err := apply(ctx, id, admin.Author(req)); err != nil {
			a.Refuse(w, req, fmt.Sprintf("product %s was not %s", text, state), err)
			return
		}
		admin.Answer(w, http.StatusOK, map[string]any{"id": text, "state": state})
	})
}

// Refuse answers that a change in ZooKeeper failed.
func (a API) Refuse(w http.ResponseWriter, req *http.Request, failed string, err error) {
	if errors.Is(err, ErrFull) {
		admin.Refuse(w, http.StatusConflict, fmt.Sprintf("%s: %v: remove some first", failed, err))
		return
	}
	a.Log.Warn(failed, "err", err, "by", admin.Author(req))
	w.Header().Set("Retry-After", "5")
	admin.Refuse(w, http.StatusServiceUnavailable, fmt.Sprintf("%s: %v (ZooKeeper is %s): try again when it is connected", failed, err, a.State()))
}
