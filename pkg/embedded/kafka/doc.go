// Package kafka runs a one-broker Kafka-protocol server inside the process, for
// `eshop all` and for tests. It is kfake with the things it leaves to its user:
// a data directory so that records live on disk, retention for every topic, and
// a lock on the directory.
//
// It speaks produce versions from 3 and fetch versions from 4 on, so producers
// older than Kafka 0.11 need a real broker.
package kafka
