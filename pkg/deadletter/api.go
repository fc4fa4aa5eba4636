package deadletter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"eshop/pkg/admin"
)

// Bounds of one request.
const (
	callTimeout = 10 * time.Second
	defaultList = 50
	maxList     = 500
)

// Path is where the letters are on an admin listener.
const Path = "/api/dead-letters"

// Serve adds to an admin listener
//
//	GET  /api/dead-letters?n=                                     the newest n of each partition
//	POST /api/dead-letters/replay?partition=&offset=              one to be applied again
//	POST /api/dead-letters/discard?partition=&offset=[&through=]  one, or all up to another
//
// A change of a letter that is dealt with is 409, of one that is not there 404;
// 503 when Kafka or ZooKeeper does not answer.
func (b *Box) Serve(adm *admin.Server) {
	for _, path := range []string{Path, Path + "/replay", Path + "/discard"} {
		if !adm.First(path) {
			return
		}
	}
	adm.Handle(Path, http.HandlerFunc(b.list))
	adm.HandleChange(http.MethodPost, Path+"/replay", http.HandlerFunc(b.replay))
	adm.HandleChange(http.MethodPost, Path+"/discard", http.HandlerFunc(b.discard))
}

func (b *Box) list(w http.ResponseWriter, r *http.Request) {
	n := defaultList
	if text := r.URL.Query().Get("n"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 || n > maxList {
			admin.Refuse(w, http.StatusBadRequest, fmt.Sprintf("n=%.20q: give a number from 1 to %d", text, maxList))
			return
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	l, err := b.List(ctx, n)
	answer(w, l, err)
}

func (b *Box) replay(w http.ResponseWriter, r *http.Request) {
	partition, offset, _, err := place(r)
	if err != nil {
		admin.Refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	l, err := b.Replay(ctx, partition, offset, admin.Author(r))
	answer(w, l, err)
}

func (b *Box) discard(w http.ResponseWriter, r *http.Request) {
	partition, from, through, err := place(r)
	if err != nil {
		admin.Refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	n, err := b.Discard(ctx, partition, from, through, admin.Author(r))
	answer(w, map[string]int64{"discarded": n}, err)
}

// place reads which letter is meant.
func place(r *http.Request) (partition int32, offset, through int64, err error) {
	q := r.URL.Query()
	p, wrongPartition := strconv.ParseInt(q.Get("partition"), 10, 32)
	offset, wrongOffset := strconv.ParseInt(q.Get("offset"), 10, 64)
	through = offset
	var wrongThrough error
	if text := q.Get("through"); text != "" {
		through, wrongThrough = strconv.ParseInt(text, 10, 64)
	}
	if errors.Join(wrongPartition, wrongOffset, wrongThrough) != nil || p < 0 || offset < 0 || through < offset {
		return 0, 0, 0, errors.New("say which letter, as in ?partition=0&offset=7, or ?partition=0&offset=7&through=9 for several")
	}
	return int32(p), offset, through, nil
}

func answer(w http.ResponseWriter, v any, err error) {
	switch {
	case err == nil:
		admin.Answer(w, http.StatusOK, v)
	case errors.Is(err, ErrNoLetter):
		admin.Refuse(w, http.StatusNotFound, err.Error())
	case errors.Is(err, ErrDone), errors.Is(err, ErrFull), errors.Is(err, ErrForeign):
		admin.Refuse(w, http.StatusConflict, err.Error())
	default:
		w.Header().Set("Retry-After", "5")
		admin.Refuse(w, http.StatusServiceUnavailable, err.Error())
	}
}
