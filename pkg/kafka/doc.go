// Package kafka is the only user of a Kafka client library: a bounded producer,
// a consumer group that commits after apply, a reader of all partitions with
// its own offsets, and topic creation.
//
// Every client is built by New without I/O and works in Run until its context
// ends. Brokers that are away are never an error of Run: clients wait, try all
// known and configured addresses, and go on where they were. The group consumer
// sits on sarama's consumer group; producer and reader sit on its protocol
// layer, because what they promise — one bound for all memory, exact counts of
// losses, one slow broker delaying nobody else's partitions, the time of the
// last answer — is about the parts that its higher layers keep to themselves.
//
// Protocol version 2.8 is spoken at most, and less where a broker offers less.
package kafka
