// Package fastpath answers the simple requests of a connection before the HTTP
// server behind it sees them.
//
// A server of any generality pays for each request what few of them need: all
// headers are copied and normalised, a response is built header by header, copied
// into a buffer and written in pieces, two deadlines are set. Here a complete
// head is looked through where it lies in the read buffer, and what Config.Answer
// gives for it is written in one call, the body from where it is held:
//
//	listener := fastpath.Listen(tcp, fastpath.Config{Answer: fromMemory, …})
//	server.Serve(listener)
//
// It lives inside net.Conn.Read. The server asks for bytes when it has answered
// all it got; Read takes them from the network, answers what it can, and returns
// only when there is something that it cannot answer: every method but GET and
// HEAD, bodies, HTTP/1.0, what is malformed or asks for anything unusual of the
// connection, and what Answer declines. So the server keeps all decisions about
// errors, limits, time-outs and the end of connections, and a connection goes back
// and forth between the two between any two requests.
//
//	request.go   Request: the look through a head
//	answer.go    Answer: heads and bodies to be written together
//	conn.go      the connection: Read, deadlines, Close
//	linger.go    the end of a connection whose client still sends
//	tls.go       what is different with TLS
//	listener.go  Listen, Config; how it is left
//	raw_linux.go reads and writes that the scheduler is not told of; raw_other.go: none elsewhere
package fastpath
