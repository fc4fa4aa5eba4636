package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"eshop/pkg/catalog"
)

// maxBody bounds the body of a PUT, in bytes.
const maxBody = 256 << 10

// publishTimeout bounds the sending of a change message.
const publishTimeout = 10 * time.Second

func (s *Server) put(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key, op, ok := target(w, r, kind)
		if !ok {
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			refuse(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes", maxBody))
			return
		}
		if err != nil {
			refuse(w, http.StatusBadRequest, "the body ended early: "+err.Error())
			return
		}
		fields, err := parse(body)
		if err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		if raw := fields.get("id"); raw != nil {
			if id, ok := catalog.RawID(raw); !ok || id != key.ID {
				refuse(w, http.StatusBadRequest, fmt.Sprintf("the body's id %s is not the path's %d", raw, key.ID))
				return
			}
		}
		var forced *time.Time
		if op == catalog.OpForce && kind == kindProduct {
			t := modifiedOf(fields)
			if t.IsZero() {
				refuse(w, http.StatusBadRequest, `a forced product needs its modifiedTime, as "2006-01-02 15:04:05"`)
				return
			}
			forced = &t
		}
		d, created, err := s.store.put(key, fields, forced)
		switch {
		case errors.Is(err, errFull):
			refuse(w, http.StatusInsufficientStorage, err.Error())
			return
		case err != nil:
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		encoded := d.encode()
		if !s.spread(w, r, catalog.Change{Key: key, Op: op, Version: s.version(kind, encoded)}) {
			return
		}
		status := http.StatusOK
		if created {
			status = http.StatusCreated
		}
		answer(w, status, encoded)
	}
}

func (s *Server) remove(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key, op, ok := target(w, r, kind)
		if !ok {
			return
		}
		existed, err := s.store.remove(key)
		switch {
		case err != nil:
			refuse(w, http.StatusInsufficientStorage, err.Error())
			return
		case !existed:
			refuse(w, http.StatusNotFound, "there is no "+key.String())
			return
		}
		if op == catalog.OpUpdate {
			op = catalog.OpDelete
		}
		if s.spread(w, r, catalog.Change{Key: key, Op: op}) {
			w.WriteHeader(http.StatusNoContent)
		}
	}
}

// target reads the document's key and the op from a request.
func target(w http.ResponseWriter, r *http.Request, kind string) (catalog.Key, catalog.Op, bool) {
	id, err := catalog.ParseID(r.PathValue("id"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "the path is wrong: "+err.Error())
		return catalog.Key{}, "", false
	}
	op := catalog.Op(r.URL.Query().Get("op"))
	if op != catalog.OpUpdate && op != catalog.OpForce {
		refuse(w, http.StatusBadRequest, fmt.Sprintf("the op %q is unknown: there is only force", string(op)))
		return catalog.Key{}, "", false
	}
	return catalog.Key{Kind: kind, ID: id}, op, true
}

// spread stores and publishes an edit that is visible already. It answers the
// request and returns false when one of them failed; the edit stays. An editor
// that hangs up does not keep the change from being published.
func (s *Server) spread(w http.ResponseWriter, r *http.Request, ch catalog.Change) bool {
	stored := s.save()
	ctx, cancel := context.WithTimeout(s.life, publishTimeout)
	defer cancel()
	if s.cfg.Publish != nil {
		if err := s.cfg.Publish(ctx, ch); err != nil {
			s.log.Error("An edit was made, but its change message could not be sent.", "key", ch.Key.String(), "error", err)
			refuse(w, http.StatusBadGateway, fmt.Sprintf(
				"the edit of %v was made, but the message of it could not be sent, so pages may show the old state for a while: %v", ch.Key, err))
			return false
		}
	}
	if stored != nil {
		s.log.Error("An edit was made and published, but could not be stored.", "key", ch.Key.String(), "error", stored)
		refuse(w, http.StatusInternalServerError, fmt.Sprintf(
			"the edit of %v was made and published, but will be lost at the next start: %v", ch.Key, stored))
		return false
	}
	return true
}

// version is what the catalogue reads from a document, 0 if it cannot.
func (s *Server) version(kind string, body []byte) int64 {
	k := s.cfg.Catalog.Kind(kind)
	if k == nil {
		return 0
	}
	v, _, err := k.VersionOf(body)
	if err != nil {
		return 0
	}
	return v
}
