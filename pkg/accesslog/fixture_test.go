package accesslog_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	"eshop/pkg/accesslog"
)

// writer says how a producer of request records spells them.
type writer struct {
	name    string
	slashes bool     // / as \/, as lua-cjson does
	order   []string // of the members; nil: as they are
	shuffle bool     // another order for each record
	spaces  bool     // after colons and commas, as Python's json.dumps does
}

func writers() []writer {
	// A Lua table has one order for all records with the same members.
	lua := []string{"http_version", "raw_reader", "method", "headers", "uri_args"}
	return []writer{{name: "gateway"}, {name: "lua", slashes: true, order: lua}, {name: "many-lua", slashes: true, order: lua, shuffle: true}, {name: "console", spaces: true, order: lua}}
}

// browser returns the head of a browser's request for a product, without
// request line, of about 240 bytes.
func browser(r *rand.Rand) []byte {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	var b bytes.Buffer
	fmt.Fprintf(&b, "Host: %s\r\n", pick("shop.example.com", "www.example.org", "m.example.com"))
	b.WriteString("Connection: keep-alive\r\n")
	fmt.Fprintf(&b, "User-Agent: %s\r\n", pick(
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
		"Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5) AppleWebKit/605.1.15 Mobile/15E148"))
	fmt.Fprintf(&b, "Accept: %s\r\n", pick("text/html,*/*;q=0.8", "*/*", "text/html"))
	fmt.Fprintf(&b, "Accept-Encoding: %s\r\n", pick("gzip, deflate", "gzip", "gzip, deflate, br"))
	if r.IntN(2) == 0 {
		fmt.Fprintf(&b, "Accept-Language: %s\r\n", pick("zh-CN,zh;q=0.9", "en-US,en;q=0.5", "de"))
	}
	if r.IntN(8) == 0 {
		fmt.Fprintf(&b, "Referer: http://shop.example.com/list?page=%d\r\n", r.IntN(100))
	}
	return b.Bytes()
}

// seedRecords returns n records in the replaced system's format with their
// products, and the mean size in bytes.
func seedRecords(w writer, n int) (records [][]byte, ids []int64, mean int) {
	r := rand.New(rand.NewPCG(1, 2))
	total := 0
	for range n {
		id := r.Int64N(100_000) + 1
		req := request(id, browser(r))
		record := accesslog.AppendRequest(nil, req, nil)
		if w.slashes {
			record = bytes.ReplaceAll(record, []byte("/"), []byte(`\/`))
		}
		if w.order != nil {
			record = respell(record, w, r)
		}
		total += len(record)
		records, ids = append(records, record), append(ids, id)
	}
	return records, ids, total / n
}

// respell writes the members of a record in another order or with spaces.
func respell(record []byte, w writer, r *rand.Rand) []byte {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(record, &members); err != nil {
		panic(err)
	}
	var parts []string
	for _, name := range w.order {
		text := string(members[name])
		if w.spaces {
			text = strings.NewReplacer(`":"`, `": "`, `","`, `", "`).Replace(text)
			name += `": `
		} else {
			name += `":`
		}
		parts = append(parts, `"`+name+text)
	}
	if w.shuffle {
		r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	}
	sep := ","
	if w.spaces {
		sep = ", "
	}
	return []byte("{" + strings.Join(parts, sep) + "}")
}

func request(id int64, head []byte) *accesslog.Request {
	return &accesslog.Request{
		ID: id, Method: []byte("GET"), Target: fmt.Appendf(nil, "/product?requestPath=product&productId=%d&shopId=%d", id, id%50+1),
		HTTPVersion: []byte("HTTP/1.1"), Head: head,
	}
}
