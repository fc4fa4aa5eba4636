package traffic

// What the tests look at from inside.
const (
	MaxUnderWay    = maxUnderWay
	MaxConnections = maxConnections
	RequestTimeout = requestTimeout
	LastPause      = lastPause
)

var (
	NewZipf = newZipf
	DrawOf  = (*zipf).draw
)
