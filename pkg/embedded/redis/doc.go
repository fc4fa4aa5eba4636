// Package redis is the Redis server that `eshop all` starts in its own process.
package redis
