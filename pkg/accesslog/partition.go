package accesslog

import (
	"hash/crc32"
	"strconv"
)

// Partition returns the partition of a product: CRC-32/IEEE of its id as decimal
// text, modulo the number of partitions, as lua-resty-kafka and pkg/kafka's
// producer choose it by key. It is -1 while partitions is below 1.
func Partition(id int64, partitions int) int32 {
	if partitions < 1 {
		return -1
	}
	var text [20]byte
	sum := ^uint32(0)
	for _, c := range strconv.AppendInt(text[:0], id, 10) {
		sum = crc32.IEEETable[byte(sum)^c] ^ sum>>8 // crc32.ChecksumIEEE would move text to the heap
	}
	return int32(^sum % uint32(partitions))
}
