// Package rediscluster is the shared cache (L2): documents in a Redis Cluster,
// read from replicas and written by compare-and-set only.
package rediscluster
