package accesslog_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"eshop/pkg/accesslog"
)

// seedRecord is one record of the replaced system, as lua-cjson wrote it.
const seedRecord = `{"http_version":1.1,"raw_reader":"GET \/product?requestPath=product&productId=42&shopId=3 HTTP\/1.1\r\nHost: 192.168.31.227\r\nConnection: keep-alive\r\n` +
	`User-Agent: Mozilla\/5.0 (Windows NT 10.0; Win64; x64) Chrome\/58.0\r\nsec-ch-ua: \"Chromium\";v=\"58\"\r\n\r\n","method":"GET",` +
	`"headers":{"host":"192.168.31.227","connection":"keep-alive","accept":["text\/html","*\/*"]},"uri_args":{"shopId":"3","productId":"42","requestPath":"product"},"request_module":"product_detail_info"}`

func TestDecodeRequest(t *testing.T) {
	const scanned, foreign = accesslog.ShapeRequest, accesslog.ShapeForeign
	for _, c := range []struct {
		name, record string
		id, weight   int64
		shape        accesslog.Shape
	}{
		{"the seed's", seedRecord, 42, 1, scanned},
		{"console", ` { "uri_args" : { "productId" : "7" , "a" : "b" } , "x" : [ 1 , { } , [ ] ] } ` + "\r\n", 7, 1, scanned},
		{"over several lines", "{\n\t\"uri_args\": {\n\t\t\"productId\": 7\n\t}\n}\n", 7, 1, scanned},
		{"number", `{"uri_args":{"productId":7}}`, 7, 1, scanned},
		{"greatest", `{"uri_args":{"productId":"9223372036854775807"}}`, math.MaxInt64, 1, scanned},
		{"repeated", `{"uri_args":{"productId":["7","8"]}}`, 7, 1, scanned},
		{"repeated, the first valid one", `{"uri_args":{"productId":[true,"","07",{"productId":"6"},["5"],8,"9"]}}`, 8, 1, scanned},
		{"flag beside it", `{"uri_args":{"debug":true,"productId":"7","x":null,"y":false}}`, 7, 1, scanned},
		{"module", `{"module":"uri_args","uri_args":{"productId":"7"},"request_module":"product_detail_info"}`, 7, 1, scanned},
		{"weight", `{"weight":100,"uri_args":{"productId":"7"}}`, 7, 100, scanned},
		{"weight behind", `{"uri_args":{"productId":"7"},"weight":1000000}`, 7, accesslog.MaxWeight, scanned},
		{"weight above the limit", `{"uri_args":{"productId":"7"},"weight":1000001}`, 7, 1, scanned},
		{"weight that is none", `{"uri_args":{"productId":"7"},"weight":{"weight":3}}`, 7, 1, scanned},
		{"weight as text", `{"uri_args":{"productId":"7"},"weight":"3"}`, 7, 1, scanned},
		{"weight with a fraction", `{"uri_args":{"productId":"7"},"weight":2.5}`, 7, 1, scanned},
		{"weight zero", `{"uri_args":{"productId":"7"},"weight":0}`, 7, 1, scanned},
		{"weight below zero", `{"uri_args":{"productId":"7"},"weight":-3}`, 7, 1, scanned},
		{"weight in the arguments", `{"uri_args":{"productId":"7","weight":50}}`, 7, 1, scanned},
		{"decoy in raw_reader", `{"raw_reader":"\",\"uri_args\":{\"productId\":\"1\"},\"","uri_args":{"productId":"7"}}`, 7, 1, scanned},
		{"decoy in raw_header behind", `{"uri_args":{"productId":"7"},"raw_header":"{\"uri_args\":{\"productId\":\"1\"}}\\"}`, 7, 1, scanned},
		{"decoy in the headers", `{"headers":{"uri_args":{"productId":"1"},"weight":9},"uri_args":{"productId":"7"}}`, 7, 1, scanned},
		{"decoy in an argument", `{"uri_args":{"x":{"productId":"1"},"y":"productId","productId":"7"}}`, 7, 1, scanned},
		{"decoy at the top", `{"productId":"1","uri_args":{"productId":"7"}}`, 7, 1, scanned},
		{"other case", `{"URI_ARGS":{"productId":"1"},"uri_args":{"productid":"2","productId":"7"}}`, 7, 1, scanned},
		{"backslashes before a quote", `{"a":"\\","b":"\\\"","c":"\\\\","uri_args":{"productId":"7"}}`, 7, 1, scanned},
		{"numbers", `{"a":-0,"b":1.5e+10,"c":0E-1,"uri_args":{"productId":"7"}}`, 7, 1, scanned},
		{"twice, the last one counts", `{"uri_args":{"productId":"1"},"uri_args":{"productId":"7"}}`, 7, 1, scanned},
		{"product twice", `{"uri_args":{"productId":"1","productId":"7"}}`, 7, 1, scanned},
		{"weight twice", `{"weight":5,"weight":6,"uri_args":{"productId":"7"}}`, 7, 6, scanned},
		{"escaped name", `{"\u0075ri_args":{"product\u0049d":"7"},"w\u0065ight":3}`, 7, 3, foreign},
		{"escaped digit", `{"uri_args":{"productId":"\u0037"}}`, 7, 1, foreign},
		{"deep", `{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `,"uri_args":{"productId":"7"}}`, 7, 1, foreign},
		{"deep objects", `{"x":` + strings.Repeat(`{"":`, 100) + "1" + strings.Repeat("}", 100) + `,"uri_args":{"productId":"7"}}`, 7, 1, foreign},
		{"not quite deep", `{"x":` + strings.Repeat("[", 30) + strings.Repeat("]", 30) + `,"uri_args":{"productId":"7"}}`, 7, 1, scanned},
	} {
		var d accesslog.Decoder
		rec, err := d.Decode([]byte(c.record))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if rec.Shape != c.shape || len(rec.Counts) != 1 || rec.Counts[0] != (accesslog.Count{ID: c.id, N: c.weight}) || rec.Time != 0 || rec.Sequence != 0 {
			t.Errorf("%s: got %+v, want product %d with %d hits, shape %d", c.name, rec, c.id, c.weight, c.shape)
		}
		if got := accesslog.Hits([]byte(c.record)); got != c.weight {
			t.Errorf("%s: it stands for %d hits, want %d", c.name, got, c.weight)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct {
		want    error
		records []string
	}{
		{accesslog.ErrNoProduct, []string{
			`{}`, ` { } `, `[]`, `null`, `7`, `"uri_args"`, `{"uri_args":[]}`, `{"uri_args":{}}`, `{"uri_args":{ }}`, `{"uri_args":null}`, `{"uri_args":"productId=7"}`,
			`{"uri_args":["productId","7"]}`, `{"uri_args":{"productId":""}}`, `{"uri_args":{"productId":"07"}}`, `{"uri_args":{"productId":"0"}}`, `{"uri_args":{"productId":0}}`,
			`{"uri_args":{"productId":-7}}`, `{"uri_args":{"productId":7.0}}`, `{"uri_args":{"productId":7e0}}`, `{"uri_args":{"productId":"7 "}}`, `{"uri_args":{"productId":true}}`,
			`{"uri_args":{"productId":"9223372036854775808"}}`, `{"uri_args":{"productId":9223372036854775808}}`, `{"uri_args":{"productId":[]}}`, `{"uri_args":{"productId":[ ]}}`,
			`{"uri_args":{"productId":["x",null]}}`, `{"uri_args":{"productId":{"productId":"7"}}}`, `{"headers":{"uri_args":{"productId":"7"}}}`, `{"productId":"7"}`,
			`{"uri_args":{"productId":"7"},"uri_args":[]}`, `{"uri_args":{"productId":"7","productId":null}}`, `{"raw_reader":"\"uri_args\":{\"productId\":\"7\"}"}`, `{"uri_args":{"productId":"\u0078"}}`,
		}},
		{accesslog.ErrMalformed, []string{
			"", " ", "x", "{", "}", `{"uri_args":{"productId":"7"}`, `{"uri_args":{"productId":"7"}}}`, `{"uri_args":{"productId":"7"}} {}`, `{"uri_args":{"productId":"7"},}`,
			`{"uri_args":{"productId":"7",}}`, `{"uri_args":{"productId":["7",]}}`, `{"uri_args":{"productId":"7"}]`, `{"a" 1,"uri_args":{"productId":"7"}}`, `{"a":,"uri_args":{"productId":"7"}}`,
			`{"a":[1,2},"uri_args":{"productId":"7"}}`, `{"a":tru,"uri_args":{"productId":"7"}}`, `{"a":truee,"uri_args":{"productId":"7"}}`, `{"a":01,"uri_args":{"productId":"7"}}`, `{"a":1.,"uri_args":{"productId":"7"}}`,
			`{"a":1e,"uri_args":{"productId":"7"}}`, `{"a":-,"uri_args":{"productId":"7"}}`, `{"a":+1,"uri_args":{"productId":"7"}}`, `{"a":'x',"uri_args":{"productId":"7"}}`, `{"a":"x`, `{"a":"x\"}`, `{a:1}`,
			`{"uri_args":{"productId":07}}`, `{"uri_args":{"productId":7x}}`, `productId=7`, "\xef\xbb\xbf" + `{"uri_args":{"productId":"7"}}`, "\v{}", `{"x":{"y"}}`, `{"x":[,]}`, `{"uri_args":{,}}`, `{"uri_args":{"productId":"7"}`,
			"\xc8\x01", "\x00",
		}},
	} {
		for _, record := range c.records {
			var d accesslog.Decoder
			if rec, err := d.Decode([]byte(record)); !errors.Is(err, c.want) || rec.Counts != nil || rec.Shape != 0 {
				t.Errorf("%s: got %+v, %v, want %v", record, rec, err, c.want)
			}
			if n := accesslog.Hits([]byte(record)); n != 0 {
				t.Errorf("%s: it stands for %d hits", record, n)
			}
		}
	}
}

// A value that is not JSON because of what a skipped text holds is the one thing
// the scanner lets pass.
func TestSkippedTextIsNotJudged(t *testing.T) {
	for _, record := range []string{"{\"raw_reader\":\"a\tb\x00\",\"uri_args\":{\"productId\":\"7\"}}", `{"raw_reader":"\q\u12","uri_args":{"productId":"7"}}`} {
		var d accesslog.Decoder
		if rec, err := d.Decode([]byte(record)); err != nil || rec.Counts[0].ID != 7 {
			t.Errorf("%s: got %+v, %v", record, rec, err)
		}
	}
}

// What the decoder returns belongs to it until the next call, and a failure in between leaves nothing behind.
func TestDecoderIsReused(t *testing.T) {
	var d accesslog.Decoder
	counts := accesslog.AppendCounts(nil, aggregated(100))
	for _, record := range []string{seedRecord, string(counts), "x", seedRecord, "{}", string(counts), seedRecord} {
		rec, err := d.Decode([]byte(record))
		switch {
		case len(record) < 10:
			if err == nil {
				t.Errorf("%q: no error", record)
			}
		case err != nil:
			t.Error(err)
		case record == seedRecord && (len(rec.Counts) != 1 || rec.Counts[0].ID != 42):
			t.Errorf("the seed's record: %+v", rec)
		case record != seedRecord && len(rec.Counts) != 100:
			t.Errorf("counts: %d entries", len(rec.Counts))
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	var d accesslog.Decoder
	counts, seed, empty, plain := accesslog.AppendCounts(nil, aggregated(100)), []byte(seedRecord), []byte(`{"uri_args":[]}`), request(7, []byte("Host: a\r\nCookie: b\r\n"))
	plain.Target = []byte("/product?productId=7&a=%41&a")
	var buf []byte
	redact := accesslog.NewRedaction("x")
	for name, f := range map[string]func(){
		"counts":     func() { _, _ = d.Decode(counts) },
		"seed":       func() { _, _ = d.Decode(seed) },
		"no product": func() { _, _ = d.Decode(empty) },
		"hits":       func() { accesslog.Hits(counts); accesslog.Hits(seed) },
		"partition":  func() { accesslog.Partition(math.MaxInt64, 8) },
		"append":     func() { buf = accesslog.AppendRequest(buf[:0], plain, redact) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
