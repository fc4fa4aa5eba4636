package accesslog

// The two readers of a request record that Decode chooses between.
var (
	Scan       = scan
	DecodeJSON = decodeJSON
)
