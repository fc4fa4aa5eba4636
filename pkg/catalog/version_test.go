package catalog_test

import (
	"errors"
	"testing"
	"time"

	"eshop/pkg/catalog"
)

// ms returns milliseconds since 1970 of a time in UTC.
func ms(text string) int64 {
	t, err := time.Parse("2006-01-02 15:04:05.999999999 -0700", text)
	if err != nil {
		panic(err)
	}
	return t.UnixMilli()
}

func TestVersionOf(t *testing.T) {
	second := ms("2026-01-02 03:04:05 +0000")
	for _, c := range []struct {
		name, body string
		version    int64
		field      string
	}{
		// The four spellings of the replaced system's documents.
		{"modifiedTime, text of seconds", `{"modifiedTime":"2026-01-02 03:04:05"}`, second, "modifiedTime"},
		{"modifyTime, a date", `{"modifyTime":"2026-01-02"}`, ms("2026-01-02 00:00:00 +0000"), "modifyTime"},
		{"modifyTime, a date and time", `{"modifyTime":"2026-01-02 03:04:05"}`, second, "modifyTime"},
		{"updateTime, epoch milliseconds", `{"updateTime":1767323045000}`, second, "updateTime"},
		{"modified_time", `{"modified_time":"2026-01-02 03:04:05"}`, second, "modified_time"},
		// Other ways to write the same moment.
		{"digits in a text", `{"updateTime":"1767323045000"}`, second, "updateTime"},
		{"a float", `{"updateTime":1767323045000.0}`, second, "updateTime"},
		{"an exponent", `{"updateTime":1.767323045E12}`, second, "updateTime"},
		{"milliseconds in the text", `{"modifiedTime":"2026-01-02 03:04:05.678"}`, second + 678, "modifiedTime"},
		{"ISO 8601 in UTC", `{"modifiedTime":"2026-01-02T03:04:05Z"}`, second, "modifiedTime"},
		{"ISO 8601 with an offset", `{"modifiedTime":"2026-01-02T11:04:05.5+08:00"}`, second + 500, "modifiedTime"},
		{"ISO 8601 without a zone", `{"modifiedTime":"2026-01-02T03:04:05"}`, second, "modifiedTime"},
		{"spaces around", `{"modifiedTime":" 2026-01-02 03:04:05 "}`, second, "modifiedTime"},
		{"escaped digits", `{"modifiedTime":"\u0032026-01-02 03:04:05"}`, second, "modifiedTime"},
		// Numbers.
		{"zero", `{"updateTime":0}`, 0, "updateTime"},
		{"the highest", `{"updateTime":9223372036854775807}`, 1<<63 - 1, "updateTime"},
		{"one too high", `{"updateTime":9223372036854775808}`, 0, ""},
		{"below 2^53 a float is exact", `{"updateTime":9007199254740991.0}`, 1<<53 - 1, "updateTime"},
		{"from 2^53 on it is not", `{"updateTime":9007199254740993.0}`, 0, ""},
		{"a part of a millisecond", `{"updateTime":1.5}`, 0, ""},
		// Which field counts.
		{"the first of the list, not of the body", `{"updateTime":5,"modifiedTime":"2026-01-02 03:04:05"}`, second, "modifiedTime"},
		{"null is missing", `{"modifiedTime":null,"updateTime":5}`, 5, "updateTime"},
		{"what cannot be read is passed over", `{"modifiedTime":"yesterday","modifyTime":"","updateTime":5}`, 5, "updateTime"},
		{"so is what is no text nor number", `{"modifiedTime":{},"modifyTime":[1],"updateTime":true,"modified_time":6}`, 6, "modified_time"},
		{"a deeper one does not count", `{"shop":{"updateTime":5}}`, 0, ""},
		// None.
		{"no field", `{"id":1}`, 0, ""},
		{"a negative number", `{"updateTime":-1}`, 0, ""},
		{"before 1970", `{"modifiedTime":"1969-12-31 23:59:59"}`, 0, ""},
		{"no such day", `{"modifiedTime":"2026-02-30 03:04:05"}`, 0, ""},
		{"hexadecimal", `{"updateTime":"0x1p4"}`, 0, ""},
		{"underscores", `{"updateTime":"1_000"}`, 0, ""},
		{"infinite", `{"updateTime":"Inf"}`, 0, ""},
		{"not a number", `{"updateTime":"NaN"}`, 0, ""},
		{"too large for a float", `{"updateTime":1e999}`, 0, ""},
	} {
		version, field, err := catalog.Default().Kind("product").VersionOf([]byte(c.body))
		if version != c.version || field != c.field || err != nil {
			t.Errorf("%s: %s: got %d from %q, %v, want %d from %q", c.name, c.body, version, field, err, c.version, c.field)
		}
	}
	for _, body := range []string{``, `null`, `[]`, `"x"`, `{`, `{"updateTime":1}}`} {
		if v, f, err := catalog.Default().Kind("product").VersionOf([]byte(body)); !errors.Is(err, catalog.ErrNotObject) {
			t.Errorf("%q: got %d from %q, %v, want ErrNotObject", body, v, f, err)
		}
	}
}

func TestVersionZoneAndFields(t *testing.T) {
	cat, err := catalog.New([]catalog.Kind{
		{Name: "east", URL: "/e?id={id}", VersionZone: "Asia/Shanghai"},
		{Name: "bare", URL: "/b?id={id}", VersionFields: []string{}},
		{Name: "own", URL: "/o?id={id}", VersionFields: []string{"rev"}},
	}, []catalog.PageType{{Name: "east"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind, body string
		version    int64
		field      string
	}{
		{"east", `{"modifiedTime":"2026-01-02 11:04:05"}`, ms("2026-01-02 03:04:05 +0000"), "modifiedTime"},
		{"east", `{"modifiedTime":"2026-01-02T03:04:05Z"}`, ms("2026-01-02 03:04:05 +0000"), "modifiedTime"},
		{"east", `{"updateTime":5}`, 5, "updateTime"},
		{"bare", `{"modifiedTime":"2026-01-02 11:04:05","rev":9}`, 0, ""},
		{"own", `{"modifiedTime":"2026-01-02 11:04:05","rev":9}`, 9, "rev"},
	} {
		if v, f, err := cat.Kind(c.kind).VersionOf([]byte(c.body)); v != c.version || f != c.field || err != nil {
			t.Errorf("%s %s: got %d from %q, %v, want %d from %q", c.kind, c.body, v, f, err, c.version, c.field)
		}
	}
}
