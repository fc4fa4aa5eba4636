// Package window counts the events of keys over a sliding window of event time
// and says which keys are hot. It is made for one Kafka partition read by one
// goroutine: nothing here locks, starts a goroutine or reads a clock.
//
// # Time
//
// The window is a fixed number of slices (10 s in 100 ms slices by default) up to
// the watermark, the highest time seen: at watermark W those from W/slice-n+1 to
// W/slice, W's own included. The watermark never goes back. An event of a slice
// in the window is counted in that slice, in whatever order events come. An event
// of an older slice is late and dropped: since the watermark only rises, no later
// state of the window would hold it. So the counts at a watermark are a function
// of the set of events, and a window rebuilt from a part of the log that holds
// all events of the span counts the same (invariant 11).
//
// # The exact part
//
// A key has an entry: its count in the window and the place of its pair in the
// newest slice it occurred in. A slice has a log of pairs (entry, count); when it
// leaves the window its pairs are taken off their entries, and an entry at 0 is
// free again. A key takes 26 bytes and 4 a slice that it occurs in, 12 from 4,096
// events a slice on, however many events.
//
// Pairs come in chunks from a bounded pool. While less than a quarter of it is
// free, a key gets a new pair only if its count times the slices since its last
// pair reaches a bar that rises without end as the pool empties; otherwise its
// events join that last pair, and leave the window early with it. A count is then
// too low for a while, never too high, and light keys are coarse before heavy ones.
//
// # The tail
//
// The last eighth of the entries is a reserve. When the rest is in use, a new key
// goes into a count-min sketch with conservative update (Estan and Varghese 2002),
// in two generations of half a span that are cleared, never subtracted from. The
// sketch decides one thing: a key whose estimate reaches a bar is promoted to the
// reserve, and counted from then on. The bar rises steeply with what is in use of
// the reserve, so a flood of light keys lifts it until it stands above them, and
// leaves room. A count never contains an estimate: that of a promoted key is what
// it had since, and exact a span later. How many keys are in the tail is estimated
// by a HyperLogLog in twentieths of a span (estimator: Ertl 2017, arXiv:1702.01284).
//
// # The cold mean, the top and the hot keys
//
// A histogram of the counts (exact to 128, then 64 buckets a doubling, with sums)
// follows each change, so that the mean of the coldest 95 % and the cutoff of the
// top n need no sort. A list of the entries at or above the rule's floor follows
// too, so that a Detector looks at those only.
//
//	window.go       Config, Window: Add, Advance and what can be read
//	layout.go       the split of Config.Bytes
//	table.go        entries and the index over them
//	pairs.go        the slices' logs and the pool of chunks
//	count.go        which pair an event goes to; late events, a short pool
//	admit.go        new keys: entry or tail
//	expire.go       slices that leave, the list of candidates
//	sketch.go       count-min sketch
//	cardinality.go  HyperLogLog of the tail
//	histogram.go    histogram of counts
//	top.go          Top, ColdMean
//	rule.go         Rule
//	detector.go     Detector: heat, hold, cool
package window
