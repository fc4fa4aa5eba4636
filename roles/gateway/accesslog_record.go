package gateway

import (
	"context"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/accesslog"
	"eshop/pkg/kafka"
)

// recorder writes a record for a request, or for one of several.
type recorder struct {
	log     *accessLog
	form    atomic.Pointer[recordForm]
	scratch sync.Pool // of *scratch
}

// recordForm is what records are made by.
type recordForm struct {
	sample int // one request of so many has one; 0: every one
	client bool
	redact *accesslog.Redaction
}

func newRecordForm(cfg *AccessLog) *recordForm {
	names := cfg.Redact
	if !cfg.Client {
		names = append(names[:len(names):len(names)], tellsClient[:]...)
	}
	return &recordForm{sample: cfg.Sample, client: cfg.Client, redact: accesslog.NewRedaction(names...)}
}

type scratch struct {
	form      *recordForm
	request   accesslog.Request
	partition int32
	record    []byte
	room      []byte
}

// tellsClient are the headers in which proxies pass the client's address on.
var tellsClient = [...]string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "X-Cluster-Client-Ip"}

func (w *recorder) init(l *accessLog) {
	w.log = l
	w.form.Store(newRecordForm(&l.cfg))
	w.scratch.New = func() any { return new(scratch) }
}

// run keeps the number of partitions up to date until ctx ends.
func (w *recorder) run(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		w.log.partitions.Store(int64(w.log.out.Partitions(w.log.topic)))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// record writes a request's record, unless chance has it that another one's
// weight stands for it.
func (w *recorder) record(ctx *fasthttp.RequestCtx, id int64) {
	s := w.chosen(id)
	if s == nil {
		return
	}
	head, q := &ctx.Request.Header, &s.request
	q.Method, q.Target, q.HTTPVersion = head.Method(), head.RequestURI(), head.Protocol()
	q.Head, q.Body = head.RawHeaders(), ctx.Request.Body()
	if s.form.client {
		addr, _ := netip.AddrFromSlice(ctx.RemoteIP())
		q.Client = addr.Unmap() // a listener for both families has IPv4 in IPv6's clothes
	}
	w.send(s)
}

// chosen returns what a request's record is made in, with its id and weight, or
// nil if it is to have none.
//
// Each request is chosen by a draw of its own with probability 1/weight, so the
// sum of weights is right on average for every product, whatever the pattern of
// requests.
func (w *recorder) chosen(id int64) *scratch {
	l, f := w.log, w.form.Load()
	if n := f.sample; n > 1 && rand.IntN(n) != 0 {
		l.books.sampled.Inc()
		return nil
	}
	partition := accesslog.Partition(id, int(l.partitions.Load()))
	shed := w.shed(partition, f.sample)
	if shed > 0 && rand.Uint64()<<(64-shed) != 0 {
		l.books.shed.Inc()
		return nil
	}
	s := w.scratch.Get().(*scratch)
	s.form, s.request.ID, s.request.Weight, s.partition = f, id, int64(max(1, f.sample))<<shed, partition
	return s
}

// send offers the record of a request. Nothing of the request is kept (PITFALL
// 41): the record is a copy.
func (w *recorder) send(s *scratch) {
	l, q := w.log, &s.request
	weight := q.Weight
	s.record = strconv.AppendInt(s.record[:0], q.ID, 10)
	key := len(s.record)
	s.record = accesslog.AppendRequest(s.record, q, s.form.redact)
	owned := append(make([]byte, 0, len(s.record)), s.record...)
	r := kafka.Record{Topic: l.topic, Partition: s.partition, Key: owned[:key:key], Value: owned[key:]}
	q.Reset() // it points into the request
	if cap(s.record) <= maxScratch {
		w.scratch.Put(s)
	}
	l.books.held.Add(weight)
	l.books.offered(&r)
	l.out.Offer(r)
}

// maxScratch is the largest buffer that is kept for further records.
const maxScratch = 64 << 10

// shed is how often the rate of records is halved because the producer is
// filling up: once when half of its room is taken, again when half of the rest
// is, and so on. So a burst, or a broker that is away, thins the log out before
// anything is dropped (PITFALL 2). It ends where a single record would weigh as
// much as the share of the hot rule's floor that is worth a flush: beyond that
// chance alone would make products hot.
func (w *recorder) shed(partition int32, sample int) int {
	l := w.log
	room := max(full(l.books.pending.Load(), l.records), full(l.books.bytes.Load(), l.bytes))
	if n := l.partitions.Load(); n > 1 {
		// The producer gives each of n partitions 2/(n+1) of its room (PITFALL 24).
		room = max(room, full(int64(l.books.slot(partition).Load())*(n+1)/2, l.records))
	}
	if room == 0 {
		return 0
	}
	most := bits.Len64(uint64(min(l.hits.share.Load(), accesslog.MaxWeight)/int64(max(1, sample)))) - 1
	return min(room, max(0, most))
}

// full is how often the free part of limit can be doubled within it.
func full(used, limit int64) int {
	return bits.Len64(uint64(limit/max(1, limit-used))) - 1
}
