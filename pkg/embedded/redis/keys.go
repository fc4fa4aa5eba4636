package redis

import (
	"strconv"
	"strings"
)

// slots is the number of hash slots of every Redis Cluster.
const slots = 16384

// slotOf returns the slot of a key: CRC-16/XMODEM of the key, or of what stands
// in its first braces if that is not empty, modulo 16384 (Redis Cluster
// specification, "hash tags").
func slotOf(key string) int {
	if open := strings.IndexByte(key, '{'); open >= 0 {
		if length := strings.IndexByte(key[open+1:], '}'); length > 0 {
			key = key[open+1 : open+1+length]
		}
	}
	var crc uint16
	for i := 0; i < len(key); i++ {
		crc ^= uint16(key[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc) % slots
}

// keysOf returns the keys among the arguments of a command (upper case, without
// the arguments it stands before). A command with arguments that is not listed
// has its first one as its only key, as most have.
func keysOf(cmd string, args []string) []string {
	switch cmd {
	case "PING", "ECHO", "AUTH", "HELLO", "SELECT", "SWAPDB", "QUIT", "RESET", "COMMAND", "DBSIZE", "FLUSHALL", "FLUSHDB",
		"INFO", "TIME", "CLUSTER", "SCRIPT", "CLIENT", "CONFIG", "KEYS", "SCAN", "RANDOMKEY", "MULTI", "EXEC", "DISCARD",
		"UNWATCH", "PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE", "PSUBSCRIBE", "PUNSUBSCRIBE", "PUBSUB", "WAIT", "READONLY",
		"READWRITE", "ASKING", "FUNCTION", "SHUTDOWN", "SAVE", "BGSAVE", "DEBUG", "SLOWLOG", "LATENCY":
		return nil
	case "DEL", "UNLINK", "EXISTS", "TOUCH", "MGET", "WATCH", "SDIFF", "SINTER", "SUNION", "SDIFFSTORE", "SINTERSTORE",
		"SUNIONSTORE", "PFCOUNT", "PFMERGE":
		return args
	case "MSET", "MSETNX":
		return every(args, 2)
	case "RENAME", "RENAMENX", "COPY", "RPOPLPUSH", "BRPOPLPUSH", "LMOVE", "BLMOVE", "SMOVE", "GEOSEARCHSTORE", "ZRANGESTORE":
		return between(args, 0, 2)
	case "BLPOP", "BRPOP", "BZPOPMIN", "BZPOPMAX":
		return between(args, 0, len(args)-1)
	case "BITOP":
		return between(args, 1, len(args))
	case "OBJECT", "MEMORY", "XGROUP", "XINFO":
		return between(args, 1, 2)
	case "SINTERCARD", "LMPOP", "ZMPOP", "ZUNION", "ZINTER", "ZDIFF", "ZINTERCARD":
		return counted(args, 0)
	case "EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO", "BLMPOP", "BZMPOP":
		return counted(args, 1)
	case "ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE":
		return append(counted(args, 1), between(args, 0, 1)...)
	case "XREAD", "XREADGROUP":
		for i, a := range args {
			if strings.EqualFold(a, "STREAMS") {
				rest := args[i+1:]
				return rest[:len(rest)/2]
			}
		}
		return nil
	}
	return between(args, 0, 1)
}

func between(args []string, from, to int) []string {
	to = min(to, len(args))
	if from >= to {
		return nil
	}
	return args[from:to]
}

func every(args []string, step int) []string {
	var out []string
	for i := 0; i < len(args); i += step {
		out = append(out, args[i])
	}
	return out
}

// counted returns the keys after an argument that says how many they are.
func counted(args []string, at int) []string {
	if at >= len(args) {
		return nil
	}
	n, err := strconv.Atoi(args[at])
	if err != nil || n <= 0 || n > len(args)-at-1 {
		return nil
	}
	return args[at+1 : at+1+n : at+1+n]
}

// oneSlot reports whether all keys have one slot, and which.
func oneSlot(keys []string) (slot int, ok bool) {
	slot = -1
	for _, k := range keys {
		s := slotOf(k)
		if slot >= 0 && s != slot {
			return slot, false
		}
		slot = s
	}
	return slot, true
}
