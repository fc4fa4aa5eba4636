// Package certificate has a process's own listeners speak TLS, and its connections
// to other roles.
//
// A Source is a certificate and its key, read from files, and read again when
// those change: the next handshake uses the new pair, connections that are open go
// on with theirs. A pair that cannot be used (half written, mismatched, expired)
// leaves the one before in use, and says so once.
//
// With the certificates of an authority it is mutual: the listener demands a
// certificate that one of them has signed, for every connection, and a connection
// made with Dial shows its own and checks the other's, the name of the host
// included. So it is the same pair for both directions.
//
// A nil Source stands for plain connections: its methods do the same without TLS.
//
//	files.go   Config; reading and judging a pair
//	source.go  Source: the pair in use, its reload, the metric of its expiry
//	conn.go    Listener, Dial: the two ends of a connection
//
// Metrics:
//
//	eshop_tls_cert_expiry_seconds{pair}  when the certificate in use expires, Unix time
package certificate
