package kafka

import "github.com/IBM/sarama"

// Header is one header of a record. A name may come more than once.
type Header struct{ Name, Value string }

// Header returns the value of the first header with a name, "" if there is none.
func (r Record) Header(name string) string {
	for _, h := range r.Headers {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}

// bytes is what the record holds of keys, values and headers.
func (r Record) bytes() int {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Name) + len(h.Value)
	}
	return n
}

// headersOf reads the headers of a record that was fetched.
func headersOf(wire []*sarama.RecordHeader) []Header {
	if len(wire) == 0 {
		return nil
	}
	out := make([]Header, 0, len(wire))
	for _, h := range wire {
		if h != nil {
			out = append(out, Header{string(h.Key), string(h.Value)})
		}
	}
	return out
}

// wireHeaders are headers as they are sent.
func wireHeaders(headers []Header) []*sarama.RecordHeader {
	if len(headers) == 0 {
		return nil
	}
	out := make([]*sarama.RecordHeader, len(headers))
	for i, h := range headers {
		out[i] = &sarama.RecordHeader{Key: []byte(h.Name), Value: []byte(h.Value)}
	}
	return out
}
