package accesslog

import (
	"encoding/json"
	"errors"
	"fmt"

	"eshop/pkg/catalog"
)

// MaxWeight is the highest weight of a request record. One that says more, or
// something that is no whole number from 1 on, counts as one request.
const MaxWeight = 1_000_000

var (
	// ErrMalformed is wrapped by Decode's errors for what is neither JSON nor a valid counts record.
	ErrMalformed = errors.New("malformed access-log record")
	// ErrNoProduct is wrapped by Decode's errors for JSON that names no product.
	ErrNoProduct = errors.New("the access-log record names no product")
)

// Shape is the form in which a record came.
type Shape uint8

const (
	// ShapeCounts is a gateway's aggregated record.
	ShapeCounts Shape = iota + 1
	// ShapeRequest is a JSON record of one request.
	ShapeRequest
	// ShapeForeign is a JSON record of one request that the scanner left to the full decoder.
	ShapeForeign
)

// Record is what one Kafka record says.
type Record struct {
	Shape    Shape
	Time     int64   // event time, ms since 1970; 0: the record does not state it
	Gateway  []byte  // counts only; shares the memory of the value
	Boot     int64   // counts only, ms since 1970
	Sequence uint64  // counts only
	Counts   []Count // one entry for a request; valid until the next Decode
}

// Decoder reads records. The zero value is ready. It holds at most MaxCounts
// entries and is for one goroutine at a time.
type Decoder struct {
	one    [1]Count
	counts []Count
}

// Decode reads one record. It allocates nothing for counts, once the decoder
// has its size, and for requests the scanner understands.
//
// A value that is JSON is read as encoding/json would, by the scanner or by the
// full decoder. Of values that are not, the scanner lets one fault pass: text
// that it skips may hold control characters and unknown escapes.
func (d *Decoder) Decode(value []byte) (Record, error) {
	if len(value) > 0 && value[0] == countsMagic {
		return d.decodeCounts(value)
	}
	one, shape, err := readRequest(value)
	if err != nil {
		return Record{}, err
	}
	d.one[0] = one
	return Record{Shape: shape, Counts: d.one[:]}, nil
}

// Hits returns how many requests a record stands for: exactly what Decode would
// count, and 0 for a request that it refuses. Of a counts record it reads the
// header only, so it does not find out whether the entries are damaged.
func Hits(value []byte) int64 {
	if len(value) > 0 && value[0] == countsMagic {
		h, err := readCountsHeader(value)
		if err != nil {
			return 0
		}
		return int64(h.total)
	}
	one, _, err := readRequest(value)
	if err != nil {
		return 0
	}
	return one.N
}

func readRequest(value []byte) (Count, Shape, error) {
	id, weight, sure := scan(value)
	shape := ShapeRequest
	if !sure {
		var err error
		if id, weight, err = decodeJSON(value); err != nil {
			return Count{}, 0, err
		}
		shape = ShapeForeign
	}
	if id == 0 {
		return Count{}, 0, ErrNoProduct
	}
	return Count{ID: id, N: weight}, shape, nil
}

// decodeJSON reads any JSON text; the id is 0 if it names no product.
func decodeJSON(value []byte) (id, weight int64, err error) {
	fields, err := catalog.TopLevel(value, []string{memberArguments, memberWeight})
	if err != nil {
		if json.Valid(value) { // JSON, but no object
			return 0, 0, nil
		}
		return 0, 0, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	weight = weightOf(fields[1])
	arguments, err := catalog.TopLevel(fields[0], []string{argumentProduct})
	if err != nil { // missing, or [] as lua-cjson writes an empty table
		return 0, weight, nil
	}
	repeated := []json.RawMessage{arguments[0]}
	if raw := arguments[0]; len(raw) > 0 && raw[0] == '[' {
		if err := json.Unmarshal(raw, &repeated); err != nil {
			return 0, 0, fmt.Errorf("%w: %v", ErrMalformed, err)
		}
	}
	for _, raw := range repeated {
		if id, ok := catalog.RawID(raw); ok {
			return id, weight, nil
		}
	}
	return 0, weight, nil
}

// weightOf reads the literal of a weight.
func weightOf(raw []byte) int64 {
	if n, ok := catalog.ParseIDBytes(raw); ok && n <= MaxWeight {
		return n
	}
	return 1
}
