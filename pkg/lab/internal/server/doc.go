// Package server starts and stops the lab's servers as child processes: the recipes for Redis Cluster, ZooKeeper and
// Kafka, free ports, and process groups that die with their parent. It runs in the lab keeper only.
package server
