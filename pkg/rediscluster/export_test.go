package rediscluster

import "github.com/redis/go-redis/v9"

// CompareAndSet is the script's text.
func CompareAndSet() string { return compareAndSet }

// SetScript replaces the script, to prove that a test can fail.
func (s *Store) SetScript(source string) { s.script = newScript(source) }

// Masters is the client under the store, for looking at what is really stored.
func (s *Store) Masters() *redis.ClusterClient { return s.masters }
