package catalog_test

import (
	"errors"
	"testing"

	"eshop/pkg/catalog"
)

func TestTopLevel(t *testing.T) {
	for _, c := range []struct {
		name, body string
		a, b       string // raw values, "" for nil
	}{
		{"empty", `{}`, "", ""},
		{"spaces", " \t\r\n{ \"a\" : 1 } \n", "1", ""},
		{"both", `{"b":[1,{"a":2}],"a":"x"}`, `"x"`, `[1,{"a":2}]`},
		{"nested ones do not count", `{"c":{"a":1,"b":2}}`, "", ""},
		{"null counts as missing", `{"a":null,"b":0}`, "", "0"},
		{"the last one counts", `{"a":1,"a":2,"b":1,"b":null}`, "2", ""},
		{"escaped name", `{"\u0061":1}`, "1", ""},
		{"another case is another name", `{"A":1}`, "", ""},
		{"numbers stay as they are", `{"a":5599.0,"b":1e3}`, "5599.0", "1e3"},
	} {
		got, err := catalog.TopLevel([]byte(c.body), []string{"a", "b"})
		if err != nil || string(got[0]) != c.a || string(got[1]) != c.b {
			t.Errorf("%s: got %s, %v, want %s and %s", c.name, got, err, c.a, c.b)
		}
	}
}

func TestTopLevelRefuses(t *testing.T) {
	for _, body := range []string{
		``, ` `, `null`, `1`, `"{}"`, `[]`, `[{}]`, `{`, `}`, `{"a":1`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a" 1}`, `{"a":1 "b":2}`,
		`{a:1}`, `{'a':1}`, `{"a":01}`, `{"a":1}x`, `{}{}`, `{},`, "{}\x00",
		`{}}`, `{}]`, `{"a":1}}`, // stray brackets end no value
		`{"a":+1}`, `{"a":NaN}`, "{\"a\":\"\x01\"}", "\xef\xbb\xbf{}",
	} {
		if got, err := catalog.TopLevel([]byte(body), []string{"a"}); !errors.Is(err, catalog.ErrNotObject) {
			t.Errorf("%q: got %s, %v, want ErrNotObject", body, got, err)
		}
	}
}

func TestRawID(t *testing.T) {
	for raw, want := range map[string]int64{
		`1`: 1, `"1"`: 1, `9223372036854775807`: 1<<63 - 1, `"9223372036854775807"`: 1<<63 - 1, `"\u0037"`: 7,
		`0`: 0, `"0"`: 0, `-1`: 0, `"-1"`: 0, `1.0`: 0, `1e3`: 0, `"01"`: 0, `"+1"`: 0, `" 1"`: 0, `""`: 0, ``: 0, `null`: 0, `true`: 0,
		`[1]`: 0, `{}`: 0, `9223372036854775808`: 0, `18446744073709551617`: 0, `"1`: 0, `"`: 0,
	} {
		if got, ok := catalog.RawID([]byte(raw)); got != want || ok != (want > 0) {
			t.Errorf("%s: got %d %v, want %d", raw, got, ok, want)
		}
	}
}
