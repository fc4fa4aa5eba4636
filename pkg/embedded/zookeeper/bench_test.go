package zookeeper_test

import (
	"testing"

	"eshop/pkg/embedded/zookeeper"
)

// BenchmarkLock is what one uncontended lock costs the server: an ephemeral sequential create, the list of the queue, the delete.
func BenchmarkLock(b *testing.B) {
	s := start(b, zookeeper.Config{})
	c := openRaw(b, s.Addr())
	b.ReportAllocs()
	for b.Loop() {
		path := c.must(create, "/lock-", []byte{}, open, 3).body.string()
		c.must(getChildren2, "/", false)
		c.must(remove, path, -1)
	}
}

// BenchmarkGet is one read over loopback, request to answer.
func BenchmarkGet(b *testing.B) {
	s := start(b, zookeeper.Config{})
	c := openRaw(b, s.Addr())
	c.must(create, "/n", make([]byte, 200), open, 0)
	b.ReportAllocs()
	for b.Loop() {
		c.must(getData, "/n", false)
	}
}
