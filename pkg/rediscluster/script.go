package rediscluster

import (
	_ "embed"

	"github.com/redis/go-redis/v9"
)

// compareAndSet is the script's text. It runs unchanged on Redis 7 and on
// miniredis.
//
//go:embed compare-and-set.lua
var compareAndSet string

// Script returns the text of the compare-and-set script.
func Script() string { return compareAndSet }

// newScript holds the script with its SHA-1, by which a server that has run it
// once is asked to run it again.
func newScript(source string) *redis.Script { return redis.NewScript(source) }
