// Package traffic is a demonstration load: requests for product pages in a Zipf
// distribution and, one product after the other, one that turns hot for a while and
// cools again. It is made for a server of one's own and is polite even there: its
// rate and the number of its requests under way are bounded, it makes up for no
// more than a moment it was late, and it pauses, longer each time, while the server
// fails.
//
//	config.go   Config, Deps, defaults
//	load.go     Load: New, Run, Status, and the plan of hot products
//	stream.go   requests at a steady rate
//	request.go  one request
//	pause.go    how long to leave a server alone that fails
//	zipf.go     the Zipf distribution
package traffic
