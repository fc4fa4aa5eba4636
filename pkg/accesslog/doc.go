// Package accesslog is the wire contract of the access log's topic: what a
// gateway writes about its requests, and what hotcount understands of it. It
// imports the standard library and pkg/catalog only and does no I/O.
//
// The topic's key is the product id as decimal text; Partition says where it
// goes. Two shapes of records travel on it.
//
// # Counts
//
// What one gateway has counted for one partition since its last record. Two
// bytes, c7, with which no JSON text begins, and 01, the version of the layout; then
// unsigned varints and one text:
//
//	total     sum of all hits, so that Hits reads the header only
//	products  number of entries
//	time      event time of all the hits, ms since 1970
//	boot      when the sender's process started, ms since 1970
//	sequence  number of the record among those of the process for the partition
//	length    of the gateway's id, and the id
//	entries   each the difference to the id before (the first: to 0), and the hits
//
// # Requests
//
// One JSON object a request, as the replaced system's lua-resty-kafka producer
// writes it: headers, uri_args, http_version, method, raw_reader, body_data.
// uri_args.productId is what counts; weight, when it is there, says how many
// requests the record stands for, and client is the client's address. What
// a gateway leaves out of it is said at Redaction.
//
// Decode takes the same object from anybody: members in any order, with any
// spacing, unknown ones beside them. An id is a text of digits or a whole number,
// from 1 on, without leading zeros. When the argument was repeated, uri_args has
// an array: it was still one request, so the first valid id in it counts, once. Of
// members of the same name the last one counts, as encoding/json has it.
//
//	counts.go     Counts, AppendCounts, and how they are read
//	request.go    Request, AppendRequest
//	head.go       Redaction, and the headers of a request
//	arguments.go  the arguments of a request
//	pair.go       headers and arguments as members of a JSON object
//	text.go       bytes as JSON text
//	decode.go     Decoder, Hits: which shape it is, and the full decoder of JSON
//	scan.go       the scanner that reads requests without decoding them
//	skip.go       how it steps over what does not matter
//	partition.go  Partition
//	sequence.go   Sequences: repeated records, and missing ones
package accesslog

// Kind of the documents that are counted. Requests for pages of another root
// are not written to the topic.
const Kind = "product"
