package accesslog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"eshop/pkg/accesslog"
)

// outcome is what a reader makes of a request record.
type outcome struct {
	id, weight int64
	err        error
}

// decoded is what Decode makes of it.
func decoded(value []byte) outcome {
	var d accesslog.Decoder
	rec, err := d.Decode(value)
	for _, sentinel := range []error{accesslog.ErrMalformed, accesslog.ErrNoProduct} {
		if errors.Is(err, sentinel) {
			return outcome{err: sentinel}
		}
	}
	if err != nil {
		return outcome{err: err}
	}
	return outcome{id: rec.Counts[0].ID, weight: rec.Counts[0].N}
}

// expected says the same by encoding/json alone.
func expected(value []byte) outcome {
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.UseNumber()
	var all any
	if dec.Decode(&all) != nil {
		return outcome{err: accesslog.ErrMalformed}
	}
	if _, err := dec.Token(); err != io.EOF {
		return outcome{err: accesslog.ErrMalformed}
	}
	record, _ := all.(map[string]any)
	arguments, _ := record["uri_args"].(map[string]any)
	products, repeated := arguments["productId"].([]any)
	if !repeated {
		products = []any{arguments["productId"]}
	}
	o := outcome{weight: 1}
	if n, ok := record["weight"].(json.Number); ok {
		if w := whole(n.String()); w > 0 && w <= accesslog.MaxWeight {
			o.weight = w
		}
	}
	for _, p := range products {
		switch p := p.(type) {
		case string:
			o.id = whole(p)
		case json.Number:
			o.id = whole(p.String())
		}
		if o.id > 0 {
			return o
		}
	}
	return outcome{err: accesslog.ErrNoProduct}
}

// whole is the number a text spells that is written as Go would write it.
func whole(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || strconv.FormatInt(n, 10) != text {
		return 0
	}
	return n
}

// repaired takes control characters and unknown escapes out of strings, which is
// all that the scanner does not look at.
func repaired(value []byte) []byte {
	out := bytes.Clone(value)
	inside := false
	for i := 0; i < len(out); i++ {
		switch c := out[i]; {
		case c == '"':
			inside = !inside
		case !inside:
		case c < ' ':
			out[i] = ' '
		case c == '\\' && i+1 < len(out):
			i++
			switch out[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if i+5 <= len(out) {
					if _, err := strconv.ParseUint(string(out[i+1:i+5]), 16, 64); err == nil {
						break
					}
				}
				out[i] = 'n'
			default:
				out[i] = 'n'
			}
		}
	}
	return out
}

// agree is the property of Decode: it does what encoding/json says, and so do the
// scanner, where it is sure, and the full decoder alone.
func agree(t *testing.T, value []byte) {
	t.Helper()
	got, want := decoded(value), expected(value)
	id, weight, sure := accesslog.Scan(value)
	if sure && want.err == accesslog.ErrMalformed {
		want = expected(repaired(value))
	}
	if got != want {
		t.Fatalf("%q: got %+v, encoding/json says %+v", value, got, want)
	}
	if sure && want.err == nil && (id != want.id || weight != want.weight) || sure && errors.Is(want.err, accesslog.ErrNoProduct) && id != 0 {
		t.Fatalf("%q: the scanner says product %d, weight %d, encoding/json says %+v", value, id, weight, want)
	}
	if want.err == nil || got.err != nil {
		id, weight, err := accesslog.DecodeJSON(value)
		if strict := expected(value); strict.err == accesslog.ErrMalformed && !errors.Is(err, accesslog.ErrMalformed) ||
			strict.err == accesslog.ErrNoProduct && (err != nil || id != 0) || strict.err == nil && (err != nil || id != strict.id || weight != strict.weight) {
			t.Fatalf("%q: the full decoder says product %d, weight %d, %v, encoding/json says %+v", value, id, weight, err, strict)
		}
	}
	if n := accesslog.Hits(value); n != want.weight {
		t.Fatalf("%q: it stands for %d hits, want %+v", value, n, want)
	}
}

// generator writes JSON like the records' and their decoys.
type generator struct{ *rand.Rand }

func (g generator) of(texts ...string) string { return texts[g.IntN(len(texts))] }

func (g generator) space() string { return g.of("", "", "", "", " ", "\t", "\r\n", "  ") }

func (g generator) name() string {
	return g.of("uri_args", "uri_args", "weight", "productId", "productId", "headers", "raw_reader", "a", "", "product\\u0049d", "\\u0075ri_args", "weigh\\u0074", "uri_args\\n", "URI_ARGS", "productid", "http_version", "\\\"uri_args")
}

func (g generator) scalar() string {
	return g.of(`"7"`, `"8"`, `7`, `9`, `"07"`, `0`, `-7`, `7.5`, `1e3`, `"9223372036854775807"`, `9223372036854775808`, `true`, `false`, `null`, `"\u0037"`, `""`, `"x"`, `1000000`, `1000001`,
		`"\",\"uri_args\":{\"productId\":\"1\"},\""`, `"{\"uri_args\":{\"productId\":\"1\"}}\\"`, `"\\\\\""`, `"\r\n\/\t"`, `"ü\ud83d\ude00"`, "\"\xff\"", `"a long text that does not end within sixteen bytes"`, `"exactly sixteen!"`, `"fifteen and \\\""`)
}

func (g generator) value(depth int) string {
	if depth == 0 || g.IntN(3) == 0 {
		return g.scalar()
	}
	parts := make([]string, g.IntN(4))
	if g.IntN(3) == 0 {
		for i := range parts {
			parts[i] = g.space() + g.value(depth-1) + g.space()
		}
		return "[" + g.space() + strings.Join(parts, ",") + "]"
	}
	return g.object(depth-1, len(parts))
}

func (g generator) object(depth, members int) string {
	parts := make([]string, members)
	for i := range parts {
		parts[i] = fmt.Sprintf(`%s"%s"%s:%s%s%s`, g.space(), g.name(), g.space(), g.space(), g.value(depth), g.space())
	}
	return "{" + g.space() + strings.Join(parts, ",") + "}"
}

// record is mostly an object with uri_args.
func (g generator) record() []byte {
	arguments := g.object(1, g.IntN(4))
	if g.IntN(2) == 0 {
		arguments = fmt.Sprintf(`{"%s":%s,"productId":%s}`, g.name(), g.scalar(), g.of(`"7"`, `8`, `["x",9]`, g.value(2)))
	}
	members := []string{fmt.Sprintf(`"uri_args"%s:%s%s`, g.space(), g.space(), arguments), fmt.Sprintf(`"weight":%s`, g.scalar())}
	for range g.IntN(4) {
		members = append(members, fmt.Sprintf(`"%s":%s%s`, g.name(), g.value(3), g.space()))
	}
	g.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	members = members[:1+g.IntN(len(members))]
	return []byte(g.space() + "{" + g.space() + strings.Join(members, g.space()+","+g.space()) + "}" + g.space())
}

// damaged has a few bytes changed, doubled, cut out or cut off.
func (g generator) damaged(value []byte) []byte {
	out := bytes.Clone(value)
	for range 1 + g.IntN(3) {
		if len(out) == 0 {
			break
		}
		i := g.IntN(len(out))
		switch g.IntN(4) {
		case 0:
			out[i] = g.of(`"`, `\`, "{", "}", "[", "]", ",", ":", "0", " ", "\n", "x", "\x00")[0]
		case 1:
			out = append(out[:i], out[i+1:]...)
		case 2:
			out = append(out[:i+1], out[i:]...)
		case 3:
			out = out[:i]
		}
	}
	return out
}

// Scanner, full decoder and encoding/json make the same of any record, whole or damaged.
func TestScannerAgreesWithJSON(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(5, 5))}
	scanned, foreign, found := 0, 0, 0
	for range 3000 {
		value := g.record()
		agree(t, value)
		if _, _, sure := accesslog.Scan(value); sure {
			scanned++
		} else {
			foreign++
		}
		if expected(value).err == nil {
			found++
		}
		agree(t, g.damaged(value))
	}
	for _, w := range writers() {
		records, _, _ := seedRecords(w, 100)
		for _, value := range records {
			agree(t, value)
			for range 5 {
				agree(t, g.damaged(value))
			}
		}
	}
	// The generator is good for something only if it reaches all of these.
	if scanned < 1000 || foreign < 500 || found < 500 {
		t.Errorf("%d records were scanned, %d were not, %d named a product", scanned, foreign, found)
	}
}

// Each end of a string is found wherever it lies, whatever number of backslashes stands before a quote.
func TestStringsOfEveryLength(t *testing.T) {
	for n := range 70 {
		for slashes := range 6 {
			for tail := range 20 {
				text := strings.Repeat("x", n) + strings.Repeat(`\`, slashes) + `"` + strings.Repeat("y", tail)
				agree(t, []byte(`{"`+text+`":1,"uri_args":{"productId":"7"}}`))
				agree(t, []byte(`{"a":"`+text+`","uri_args":{"productId":"7"}}`))
				agree(t, []byte(`{"a":{"b":"`+text+`"},"uri_args":{"`+text+`":"","productId":"7"}}`))
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	g := generator{rand.New(rand.NewPCG(6, 6))}
	f.Add([]byte(seedRecord))
	for range 50 {
		value := g.record()
		f.Add(value)
		f.Add(g.damaged(value))
	}
	for _, w := range writers() {
		records, _, _ := seedRecords(w, 3)
		for _, value := range records {
			f.Add(value)
		}
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		if len(value) == 0 || value[0] != 0xc7 { // counts have a test of their own
			agree(t, value)
		}
	})
}
