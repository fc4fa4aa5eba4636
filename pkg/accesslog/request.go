package accesslog

import (
	"net/netip"
	"strconv"
)

// maxFields is how many headers and how many other arguments a record has at most, as
// ngx.req.get_headers and get_uri_args have it. That bounds appendMembers, whose work
// can grow with the square of their number. raw_reader has all headers.
const maxFields = 100

// Request is what a full or sampled record says of one request. Its bytes are
// copied into the record.
type Request struct {
	ID          int64      // of the product, from 1
	Method      []byte     // "GET"
	Target      []byte     // as it stands in the request line; its query is uri_args
	HTTPVersion []byte     // "HTTP/1.1"
	Head        []byte     // the header lines as they came, without the request line
	Body        []byte     // left out if empty
	Client      netip.Addr // the client's address; the zero Addr is left out
	Weight      int64      // how many requests this one stands for, at most MaxWeight; below 2 is one

	fields, arguments []pair // of AppendRequest
	room              []byte // for names and values in another spelling than they came in
}

// Reset empties r, so that it refers to nothing any more. It keeps the memory that
// AppendRequest needs beside its buffer.
func (r *Request) Reset() {
	clear(r.fields)
	clear(r.arguments)
	*r = Request{fields: r.fields[:0], arguments: r.arguments[:0], room: r.room[:0]}
}

// AppendRequest appends the JSON record of a request to b.
//
// uri_args.productId is the ID as text, whatever the target says; the other
// arguments are taken from the target. Names of headers are in lower case, and one
// that is repeated has an array. raw_reader is made anew from request line and
// headers, without those that redact hides. Bytes that are not valid UTF-8 become
// U+FFFD.
func AppendRequest(b []byte, r *Request, redact *Redaction) []byte {
	r.fields, r.room = appendFields(r.fields[:0], r.room[:0], r.Head, redact)
	r.arguments, r.room = appendArguments(r.arguments[:0], r.room, r.Target)
	b = append(b, `{"headers":{`...)
	b = appendMembers(b, r.fields[:min(len(r.fields), maxFields)])
	b = append(b, `},"uri_args":{"productId":"`...)
	b = strconv.AppendInt(b, r.ID, 10)
	b = append(b, '"')
	if len(r.arguments) > 0 {
		b = appendMembers(append(b, ','), r.arguments)
	}
	b = append(b, '}')
	if n := len(r.HTTPVersion); n >= len("1.1") && isDigit(r.HTTPVersion[n-3]) && r.HTTPVersion[n-2] == '.' && isDigit(r.HTTPVersion[n-1]) {
		b = append(append(b, `,"http_version":`...), r.HTTPVersion[n-3:]...)
	}
	b = append(b, `,"method":"`...)
	b = appendText(b, r.Method)
	b = append(b, `","raw_reader":"`...)
	b = appendHead(b, r)
	b = append(b, '"')
	if len(r.Body) > 0 {
		b = append(b, `,"body_data":"`...)
		b = append(appendText(b, r.Body), '"')
	}
	if r.Client.IsValid() {
		b = append(b, `,"client":"`...)
		b = append(r.Client.AppendTo(b), '"')
	}
	if r.Weight > 1 {
		b = append(b, `,"weight":`...)
		b = strconv.AppendInt(b, r.Weight, 10)
	}
	return append(b, '}')
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// appendHead appends the text of raw_reader.
func appendHead(b []byte, r *Request) []byte {
	b = appendLine(b, r.Method)
	b = appendLine(append(b, ' '), r.Target)
	b = appendLine(append(b, ' '), r.HTTPVersion)
	b = append(b, `\r\n`...)
	for i := range r.fields {
		b = append(b, r.fields[i].raw...)
		b = append(b, ": "...)
		b = r.fields[i].appendValue(b)
		b = append(b, `\r\n`...)
	}
	return append(b, `\r\n`...)
}
