package accesslog_test

import (
	"hash/crc32"
	"math"
	"strconv"
	"testing"

	"eshop/pkg/accesslog"
)

// The partition is what a producer chooses by the key (pkg/kafka, lua-resty-kafka).
func TestPartition(t *testing.T) {
	for _, n := range []int{1, 2, 3, 8, 100, math.MaxInt32} {
		for _, id := range []int64{1, 9, 10, 99, 100, 12345, 1 << 40, math.MaxInt64} {
			want := int32(crc32.ChecksumIEEE([]byte(strconv.FormatInt(id, 10))) % uint32(n))
			if got := accesslog.Partition(id, n); got != want {
				t.Errorf("product %d of %d partitions: got %d, want %d", id, n, got, want)
			}
		}
	}
	// How the replaced system spread these ids over two.
	for id, want := range map[int64]int32{4: 0, 5: 0, 6: 0, 7: 0, 20: 0, 100: 0, 1: 1, 2: 1, 3: 1, 8: 1, 9: 1, 10: 1} {
		if got := accesslog.Partition(id, 2); got != want {
			t.Errorf("product %d of 2 partitions: got %d, want %d", id, got, want)
		}
	}
	for _, n := range []int{0, -1} {
		if got := accesslog.Partition(7, n); got != -1 {
			t.Errorf("of %d partitions: got %d", n, got)
		}
	}
}
