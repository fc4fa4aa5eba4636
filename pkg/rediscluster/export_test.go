package rediscluster

import "github.com/redis/go-redis/v9"

// SetScript replaces the script, to prove that a test can fail.
func (s *Store) SetScript(source string) { s.script = newScript(source) }

// Masters is the client under the store, for looking at what is really stored.
func (s *Store) Masters() *redis.ClusterClient { return s.masters }

// ParseNodes is parseNodes.
func ParseNodes(text string) ([]MemberView, string) { return parseNodes(text) }
