// Package kafka is the only user of a Kafka client library: a bounded producer,
// two kinds of members of a consumer group — one that commits after apply, and
// one that reads from where a record time says —, a reader of all partitions
// with its own offsets, and topic creation.
//
// Every client is built by New without I/O and works in Run until its context
// ends. Brokers that are away are never an error of Run: clients wait, try all
// known and configured addresses, and go on where they were. The members of
// groups sit on sarama's consumer group; producer and reader sit on its protocol
// layer, because what they promise — one bound for all memory, exact counts of
// losses, one slow broker delaying nobody else's partitions, the time of the
// last answer — is about the parts that its higher layers keep to themselves.
//
// Protocol version 2.8 is spoken at most, and less where a broker offers less.
//
// Files:
//
//   - config.go, connection.go, scram.go, backoff.go, metadata.go: how the
//     brokers are reached and asked for their layout.
//   - refused.go: which flag to look at when a broker refuses this client.
//   - producer.go, queue.go, produce_run.go, sender.go: the Producer.
//   - header.go: the headers of records.
//   - membership.go, watchdog.go: what every member of a consumer group does,
//     and who sees to it that it moves.
//   - group.go, claim.go, lane.go, group_status.go: the Group, which applies
//     records key by key and commits what is applied.
//   - group_reader.go, group_reader_start.go, group_reader_check.go,
//     assigned.go, group_reader_status.go: the GroupReader, whose partitions are read from where their holder says.
//   - reader.go, partition_reader.go, decode.go: the Reader of all partitions.
//   - topics.go, describe.go, look.go, metrics.go: topics to create, what there is, what it holds, metrics.
package kafka
