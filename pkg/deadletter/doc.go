// Package deadletter is what an operator does with change messages that could
// not be applied: look at them, send them again, or say that they are dealt with.
//
// A dead letter stays where it is, in the topic of dead letters, until retention
// removes it. What was done about it is a mark in ZooKeeper, below the root:
//
//	dead/<topic>.<partition>   {"marks":[{"from":3,"to":7,"did":"replayed","by":"10.0.0.7","at":1700000000000}]}
//
// A mark holds for the offsets from..to; neighbours by the same operator are one
// mark, and marks below the oldest record are dropped, so that a partition has
// few. There are at most [MaxMarks]; above it a change is refused until a whole
// span is discarded, which needs one mark.
//
// A record that is younger than its mark is another one: somebody has deleted the
// topic and made it anew. It counts as open.
//
// Replay puts the message back on the topic it came from, into its partition, and
// marks it after the brokers have it: whoever dies in between leaves it open, and
// it can be sent twice. That does no harm, for a change message says that
// something changed and not what.
package deadletter
