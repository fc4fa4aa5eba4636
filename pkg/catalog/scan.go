package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ErrNotObject is returned for a body that is not one JSON object.
var ErrNotObject = errors.New("the body is not a JSON object")

// TopLevel returns the raw JSON of the named top-level fields of an object, nil
// for a field that is missing or null. A field given twice has its last value,
// as encoding/json and JavaScript have it.
func TopLevel(body []byte, fields []string) ([]json.RawMessage, error) {
	out := make([]json.RawMessage, len(fields))
	dec := json.NewDecoder(bytes.NewReader(body))
	tok, err := dec.Token()
	if err != nil || tok != json.Delim('{') {
		return nil, ErrNotObject
	}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("%w: %v", ErrNotObject, err)
		}
		name, _ := tok.(string)
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, fmt.Errorf("%w: %v", ErrNotObject, err)
		}
		for i, f := range fields {
			if f == name {
				out[i] = nil
				if string(raw) != "null" {
					out[i] = raw
				}
			}
		}
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return nil, fmt.Errorf("%w: %v", ErrNotObject, err)
	}
	if _, err := dec.Token(); err != io.EOF { // More would take a stray bracket for the end
		return nil, fmt.Errorf("%w: something follows it", ErrNotObject)
	}
	return out, nil
}

// Unquote returns the text of a raw JSON string, and false for anything else.
func Unquote(raw string) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	var s string
	if json.Unmarshal([]byte(raw), &s) != nil {
		return "", false
	}
	return s, true
}

// RawID reads an id from raw JSON: a whole number or a text of digits.
func RawID(raw []byte) (int64, bool) {
	text := string(raw)
	if s, ok := Unquote(text); ok {
		text = s
	}
	return parseID(text)
}
