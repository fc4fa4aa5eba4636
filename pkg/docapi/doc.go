// Package docapi is the wire contract between a gateway and the cache role:
// the client, the server and the types of both stand together, so there is one
// definition of each message.
//
//	GET /v1/doc/<kind>/<id>[?min=<stamp>][&revalidate=1]
//	GET /v1/docs?key=<kind>/<id>[@<stamp>]&key=…   (at most 128 keys)
//	GET /v1/ping
//
// A single answer is the document's own bytes with its facts in headers:
//
//	200  live        Eshop-State, Eshop-Stamp, Eshop-Field, Eshop-Pulled (ms), Eshop-Layer
//	404  tombstone or absent, the same headers, empty body
//	400  a bad id, an unknown kind, a bad stamp
//	401  the cluster token is missing or wrong
//	503  nothing to serve; Retry-After (seconds) says when to ask again
//
// A batch answer is 200 with one frame for each key, in the order asked: a line
// of JSON (type meta) that ends with \n and says how many bytes of body follow.
// Bodies are never decoded nor encoded on the way.
//
//	api.go      Request, Reply, Layer, Unavailable
//	frame.go    headers and frames, both directions
//	server.go   NewHandler: the HTTP side of the cache role
//	client.go   Client: owner by ring, next owner when it is unreachable; probes
package docapi
