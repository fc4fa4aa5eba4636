package accesslog_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"
	"weak"

	"github.com/google/go-cmp/cmp"

	"eshop/pkg/accesslog"
)

var (
	token         = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	versionNumber = regexp.MustCompile(`(?s)[0-9]\.[0-9]$`)
	foldsBefore   = regexp.MustCompile(`^((\r\n|\r|\n)[ \t]+)+`)
	fold          = regexp.MustCompile(`(\r\n|\r|\n)[ \t]+`)
	escape        = regexp.MustCompile(`\+|%[0-9a-fA-F]{2}`)
)

// model is what a record has to say, made with the standard library and regular
// expressions only.
func model(r *accesslog.Request, hidden ...string) map[string]any {
	hidden = append(hidden, "Cookie", "Set-Cookie", "Authorization", "Proxy-Authorization")
	headers, raw := map[string]any{}, ""
	shown := 0
	var lines []string
	for line := range strings.SplitAfterSeq(string(r.Head), "\n") {
		if len(lines) > 0 && strings.Trim(line[:min(1, len(line))], " \t") == "" {
			lines[len(lines)-1] += line
		} else {
			lines = append(lines, line)
		}
	}
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		name = strings.TrimRight(strings.TrimLeft(name, " \t"), " \t\r\n")
		if !ok || !token.MatchString(name) || containsFold(hidden, name) {
			continue
		}
		value = oneLine(strings.TrimRight(strings.TrimLeft(value, " \t"), " \t\r\n"))
		raw += name + ": " + value + "\r\n"
		if shown++; shown <= 100 {
			add(headers, strings.ToLower(name), value)
		}
	}
	want := map[string]any{
		"headers": headers, "uri_args": modelArguments(r), "method": valid(string(r.Method)),
		"raw_reader": oneLine(string(r.Method)) + " " + oneLine(string(r.Target)) + " " + oneLine(string(r.HTTPVersion)) + "\r\n" + raw + "\r\n",
	}
	if v := versionNumber.Find(r.HTTPVersion); v != nil {
		want["http_version"] = json.Number(v)
	}
	if len(r.Body) > 0 {
		want["body_data"] = valid(string(r.Body))
	}
	if r.Client.IsValid() {
		want["client"] = r.Client.String()
	}
	if r.Weight > 1 {
		want["weight"] = json.Number(fmt.Sprint(r.Weight))
	}
	return want
}

// oneLine joins continuation lines and ends at any other line break.
func oneLine(text string) string {
	text = foldsBefore.ReplaceAllString(text, "")
	text = fold.ReplaceAllString(text, " ")
	if i := strings.IndexAny(text, "\r\n"); i >= 0 {
		text = text[:i]
	}
	return valid(text)
}

// valid has U+FFFD for each byte that is not UTF-8.
func valid(text string) string { return string([]rune(text)) }

func modelArguments(r *accesslog.Request) map[string]any {
	target, _, _ := strings.Cut(string(r.Target), "#")
	_, query, _ := strings.Cut(target, "?")
	var names []string
	values := map[string]any{}
	taken := 0
	for part := range strings.SplitSeq(query, "&") {
		name, value, hasValue := strings.Cut(part, "=")
		plain := unescaped(name)
		if name == "" || plain == "productId" || taken == 100 {
			continue
		}
		taken++
		if _, ok := values[plain]; !ok {
			names = append(names, plain)
		}
		if hasValue {
			add(values, plain, valid(unescaped(value)))
		} else {
			add(values, plain, true)
		}
	}
	arguments := map[string]any{"productId": fmt.Sprint(r.ID)}
	for _, name := range names { // two may become one: the last counts
		arguments[valid(name)] = values[name]
	}
	return arguments
}

func unescaped(text string) string {
	return escape.ReplaceAllStringFunc(text, func(s string) string {
		if s == "+" {
			return " "
		}
		var c byte
		if _, err := fmt.Sscanf(s, "%%%02x", &c); err != nil {
			panic(err)
		}
		return string([]byte{c})
	})
}

// add makes a value an array when it is repeated.
func add(to map[string]any, name string, value any) {
	switch old := to[name].(type) {
	case nil:
		to[name] = value
	case []any:
		to[name] = append(old, value)
	default:
		to[name] = []any{old, value}
	}
}

func containsFold(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// check compares a record with the model, and has it decoded. It returns the record.
func check(t *testing.T, r *accesslog.Request, hidden ...string) []byte {
	t.Helper()
	record := accesslog.AppendRequest([]byte("before"), r, accesslog.NewRedaction(hidden...))
	record, ok := bytes.CutPrefix(record, []byte("before"))
	if !ok {
		t.Fatalf("what was there before is gone: %q", record)
	}
	dec := json.NewDecoder(bytes.NewReader(record))
	dec.UseNumber()
	var got map[string]any
	if err := dec.Decode(&got); err != nil || !json.Valid(record) || !utf8.Valid(record) {
		t.Fatalf("%q is not JSON: %v", record, err)
	}
	if diff := cmp.Diff(model(r, hidden...), got); diff != "" {
		t.Fatalf("%q of target %q, head %q (-want +got):\n%s", record, r.Target, r.Head, diff)
	}
	if got, want := decoded(record), (outcome{id: r.ID, weight: max(r.Weight, 1)}); got != want {
		t.Fatalf("%q: got %+v, want %+v", record, got, want)
	}
	return record
}

func TestAppendRequest(t *testing.T) {
	r := request(42, []byte("Host: shop.example.com\r\nUser-Agent: \"x\"\\y\r\nCookie: session=1\r\nAccept: text/html\r\naccept: */*\r\nX-Folded: a\r\n\tb\r\n\r\n"))
	r.Target = []byte("/product?productId=42&debug&tag=a%26b&tag&q=%E4%BD%A0+x&=none&bad=%zz")
	r.Client, r.Weight, r.Body = netip.MustParseAddr("2001:db8::1"), 10, []byte("a\x00b")
	const want = `{"headers":{"host":"shop.example.com","user-agent":"\"x\"\\y","accept":["text/html","*/*"],"x-folded":"a b"},` +
		`"uri_args":{"productId":"42","debug":true,"tag":["a&b",true],"q":"你 x","bad":"%zz"},"http_version":1.1,"method":"GET",` +
		`"raw_reader":"GET /product?productId=42&debug&tag=a%26b&tag&q=%E4%BD%A0+x&=none&bad=%zz HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: \"x\"\\y\r\nAccept: text/html\r\naccept: */*\r\nX-Folded: a b\r\n\r\n",` +
		`"body_data":"a\u0000b","client":"2001:db8::1","weight":10}`
	if got := string(check(t, r)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if id, weight, sure := accesslog.Scan([]byte(want)); id != 42 || weight != 10 || !sure {
		t.Errorf("the scanner says product %d, weight %d, %v", id, weight, sure)
	}
	if got, want := string(accesslog.AppendRequest(nil, &accesslog.Request{ID: 1}, nil)), `{"headers":{},"uri_args":{"productId":"1"},"method":"","raw_reader":"  \r\n\r\n"}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// The id is the request's, in whatever form the target had it.
	for _, target := range []string{"/product/42", "http://shop/product/42?a=b", "/product?productId=42&productId=42", "/product?product%49d=42", "/product/42?productId=43", "/x?%70roductId&b=%", "/product/42?#productId=43"} {
		r := request(42, nil)
		r.Target = []byte(target)
		if record := string(check(t, r)); strings.Count(record, `"productId":"42"`) != 1 {
			t.Errorf("%s gives %s", target, record)
		}
	}
}

// A Request that is used again has nothing of the request before.
func TestRequestIsReused(t *testing.T) {
	r := &accesslog.Request{}
	for i := range 3 {
		r.ID, r.Method, r.HTTPVersion = int64(i+1), []byte("GET"), []byte("HTTP/1.0")
		r.Target = fmt.Appendf(nil, "/product/%d?a%d=b", i+1, i)
		r.Head = []byte(strings.Repeat(fmt.Sprintf("X-%d: y\r\n", i), 3-i))
		check(t, r)
	}
	r.Head, r.Target = []byte(strings.Repeat("Host: a\r\n", 10)), []byte("/product/7?"+strings.Repeat("a=b&", 10))
	check(t, r)
	head, target := weak.Make(&r.Head[0]), weak.Make(&r.Target[0])
	r.Reset()
	if got, want := accesslog.AppendRequest(nil, r, nil), accesslog.AppendRequest(nil, &accesslog.Request{}, nil); !bytes.Equal(got, want) {
		t.Errorf("after a reset: got %s, want %s", got, want)
	}
	runtime.GC()
	if head.Value() != nil || target.Value() != nil {
		t.Error("a request that was reset refers to what it had")
	}
	runtime.KeepAlive(r)
}

func TestManyHeadersAndArguments(t *testing.T) {
	r := request(7, nil)
	var target strings.Builder
	target.WriteString("/product/7?")
	for i := range 250 {
		r.Head = fmt.Appendf(r.Head, "X-%d: %d\r\n", i%150, i)
		fmt.Fprintf(&target, "a%d=%d&", i%150, i)
	}
	r.Target = []byte(target.String())
	check(t, r)
}

// texts are bytes of every kind that could break a JSON string or a head.
func (g generator) text() []byte {
	var b []byte
	for range g.IntN(6) {
		switch g.IntN(5) {
		case 0:
			b = append(b, g.of("\"", "\\", "/", "\t", "\x00", "\x1f", "\x7f", "<", "\u2028", "\xff", "\xc3", "\xe4\xbd", "\xf0\x9f\x98", "\xed\xa0\x80", "é", "你", "😀")...)
		case 1:
			b = append(b, g.of("\r\n", "\r\n ", "\n", "\n\t", "\r", "\r ", " ", ":")...)
		case 2:
			b = append(b, byte(g.IntN(256)))
		default:
			b = append(b, "abcdefghijklmnopqrstuvwxyz"[g.IntN(26):]...)
		}
	}
	return b
}

func (g generator) head() []byte {
	var b []byte
	for range g.IntN(8) {
		b = append(b, g.of("Host", "ACCEPT", "accept", "X-A", "x-a", " X-B ", "", "C\"", "D\\", "É", "Cookie", "cOOKIE", "Authorization", "Set-Cookie", "X-Secret", string(g.text()))...)
		b = append(append(b, g.of(":", ": ", " : ", "")...), g.text()...)
		b = append(b, g.of("\r\n", "\r\n", "\n", "\r\n ", "\r\n\r\n", "")...)
	}
	return b
}

func (g generator) target() []byte {
	b := []byte(g.of("/product?", "/product/7?", "/product", "http://h/p?x", "?"))
	for range g.IntN(6) {
		b = append(b, g.of("a", "a", "b", "%61", "%", "%4", "+", "%ff", "%c3%a9", "productId", "product%49d", "", string(g.text()))...)
		b = append(b, g.of("=", "=", "", "==")...)
		b = append(append(b, g.of("1", "", "%20", "%E4%BD%A0", "%e4%bd", "%zz", "a+b", string(g.text()))...), g.of("&", "&", "&&", "#")...)
	}
	return b
}

// Whatever a request has in it, its record is JSON that says the same.
func TestRecordsSayWhatTheRequestHas(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(8, 8))}
	reused := &accesslog.Request{}
	for range 2000 {
		reused.ID, reused.Method, reused.HTTPVersion = g.Int64N(1000)+1, []byte("GET"), []byte(g.of("HTTP/1.1", "HTTP/1.0", "HTTP/2", ""))
		reused.Head, reused.Target, reused.Body, reused.Weight = g.head(), g.target(), nil, g.Int64N(3)
		if g.IntN(4) == 0 {
			reused.Method, reused.HTTPVersion, reused.Body = g.text(), g.text(), g.text()
		}
		check(t, reused, "x-secret")
	}
}

// Hidden headers leave no trace, whatever their case, repeated or continued, and
// neither does one that hides behind a line break in another's value.
func TestRedaction(t *testing.T) {
	const secret = "s3cr3t"
	g := generator{rand.New(rand.NewPCG(9, 9))}
	mixed := func(name string) string {
		b := []byte(name)
		for i, c := range b {
			if g.IntN(2) == 0 {
				b[i] = bytes.ToUpper([]byte{c})[0]
			}
		}
		return string(b)
	}
	for range 1000 {
		var head []byte
		for range 1 + g.IntN(6) {
			if g.IntN(3) == 0 {
				head = append(head, g.of("Host: a\r\n", "Accept: b\r\n c\r\n", "X-Api-Key-Id: public\r\n", "Cookies: public\r\n")...)
			}
			name := mixed(g.of("cookie", "set-cookie", "authorization", "proxy-authorization", "x-api-key", "x-token"))
			head = append(head, g.of("", "", "", "Host: a\r", "Host: a\n", "Host:\r", "Host: \r\r\n")...)
			head = append(head, name+g.of(":", ": ", " :", "\t: ")...)
			head = append(head, secret+g.of("", "; a="+secret, "\r\n "+secret, "\n\t"+secret+"\r\n  "+secret, "\r "+secret)+g.of("\r\n", "\n")...)
		}
		r := request(7, head)
		record := accesslog.AppendRequest(nil, r, accesslog.NewRedaction(" X-Api-Key ", "x-token", ""))
		if bytes.Contains(record, []byte(secret)) {
			t.Fatalf("%q gives %s", head, record)
		}
		check(t, r, "X-Api-Key", "x-token")
	}
	for _, redact := range []*accesslog.Redaction{nil, accesslog.NewRedaction()} {
		record := accesslog.AppendRequest(nil, request(7, []byte("Cookie: "+secret+"\r\nX-Api-Key: shown\r\nAUTHORIZATION: "+secret)), redact)
		if bytes.Contains(record, []byte(secret)) || !bytes.Contains(record, []byte("shown")) {
			t.Errorf("got %s", record)
		}
	}
}

func FuzzAppendRequest(f *testing.F) {
	g := generator{rand.New(rand.NewPCG(10, 10))}
	for range 50 {
		f.Add(g.head(), g.target(), g.text())
	}
	f.Fuzz(func(t *testing.T, head, target, other []byte) {
		check(t, &accesslog.Request{ID: 7, Method: other, HTTPVersion: other, Target: target, Head: head, Body: other}, "x-secret")
	})
}
