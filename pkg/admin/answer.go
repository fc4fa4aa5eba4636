package admin

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
)

// Answer writes v as indented JSON with a status code. An error tells that the
// client did not get it: v is no JSON, which the client is told with a 500, or the
// client has gone. It is for logs; there is nothing else to do about it.
func Answer(w http.ResponseWriter, code int, v any) error {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, "the answer could not be written as JSON: "+err.Error(), http.StatusInternalServerError)
		return fmt.Errorf("write an answer as JSON: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if _, err := w.Write(append(body, '\n')); err != nil {
		return fmt.Errorf("deliver an answer: %w", err)
	}
	return nil
}

// Refuse answers with {"error": what}, which says what is wrong and what to do.
func Refuse(w http.ResponseWriter, code int, what string) error {
	return Answer(w, code, map[string]string{"error": what})
}

// Author is who asked for a change, as far as the connection tells: an address
// without its port. Of a change that another process passes on it is who asked that one.
func Author(r *http.Request) string {
	if by, ok := r.Context().Value(authorKey{}).(string); ok {
		return by
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr
}
