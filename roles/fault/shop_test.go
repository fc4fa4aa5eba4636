package fault_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"eshop/pkg/catalog"
)

// A shop is the origin of the scenarios. Every product below unknownFrom exists from the beginning, so that no
// scenario runs out of cold ones, and every write of a product has its number in the product's name. What is done to it
// as a process — killed, stopped, cut off, slow — is done to the link in front of it.
type shop struct {
	url string

	mu       sync.Mutex
	products map[int64]*product
}

const unknownFrom = 1_000_000_000

type product struct {
	number  int64 // of its last write
	version int64 // goes back when a write is forced
	gone    bool
}

func startShop(t testing.TB) *shop {
	t.Helper()
	s := &shop{products: map[int64]*product{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + listener.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /getProductInfo", func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.ParseInt(r.FormValue("productId"), 10, 64)
		s.answer(w, s.product(id))
	})
	mux.HandleFunc("GET /getProductInfos", func(w http.ResponseWriter, r *http.Request) {
		found := []any{}
		for text := range strings.SplitSeq(r.FormValue("productIds"), ",") {
			id, _ := strconv.ParseInt(text, 10, 64)
			if p := s.product(id); p != nil {
				found = append(found, p)
			}
		}
		s.answer(w, found)
	})
	mux.HandleFunc("GET /getShopInfo", func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.ParseInt(r.FormValue("shopId"), 10, 64)
		s.answer(w, map[string]any{"id": id, "name": "a shop"})
	})
	server := &http.Server{Handler: mux}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
	return s
}

func (s *shop) answer(w http.ResponseWriter, v any) {
	if m, ok := v.(map[string]any); ok && m == nil {
		http.Error(w, `{"error":"there is none"}`, http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // an error is the reader's end
}

// product is a document as it is now, nil when there is none.
func (s *shop) product(id int64) map[string]any {
	number, version, gone := s.state(id)
	if gone {
		return nil
	}
	return map[string]any{"id": id, "name": fmt.Sprintf("write-%d-", number), "price": 9.5, "modifiedTime": firstVersion + version, "shopId": 1 + id%5}
}

const firstVersion = 1_700_000_000_000

// state is what a product is now.
func (s *shop) state(id int64) (number, version int64, gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.products[id]; p != nil {
		return p.number, p.version, p.gone
	}
	return 0, 0, id < 1 || id >= unknownFrom
}

// write changes a product and returns the write and the message that tells of it. The history gets it before any reader
// can see it.
func (s *shop) write(h *history, id int64, op catalog.Op, announce bool) catalog.Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.products[id]
	if p == nil {
		p = &product{}
		s.products[id] = p
	}
	p.number++
	p.gone = op == catalog.OpDelete
	switch op {
	case catalog.OpForce:
		p.version = max(0, p.version-3)
	case catalog.OpUpdate:
		p.version++
	}
	h.wrote(write{key: id, number: p.number, gone: p.gone, at: h.now()})
	ch := catalog.Change{Key: catalog.Key{Kind: "product", ID: id}, Op: op}
	if op == catalog.OpUpdate && announce { // some senders say the version, some do not
		ch.Version = firstVersion + p.version
	}
	return ch
}

// numberOn finds the number of the write that a page or a document shows.
func numberOn(body string) (int64, bool) {
	_, rest, ok := strings.Cut(body, "write-")
	if !ok {
		return 0, false
	}
	digits, _, ok := strings.Cut(rest, "-")
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, ok && err == nil
}

// dialTimeout bounds what a test asks of a process that may be paused.
const dialTimeout = 2 * time.Second
