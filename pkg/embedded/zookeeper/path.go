package zookeeper

import (
	"strings"
	"unicode/utf8"
)

// validPath holds the rules of the real server: absolute, no empty, "." or ".." element, no trailing slash, none of the characters the protocol forbids
// (among them everything beyond the basic plane, which the real server sees as surrogates).
func validPath(path string) bool {
	if path == "" || path[0] != '/' || !utf8.ValidString(path) {
		return false
	}
	if path == "/" {
		return true
	}
	for element := range strings.SplitSeq(path[1:], "/") {
		if element == "" || element == "." || element == ".." {
			return false
		}
		for _, r := range element {
			switch {
			case r <= 0x1f, r >= 0x7f && r <= 0x9f, r >= 0xd800 && r <= 0xf8ff, r >= 0xfff0:
				return false
			}
		}
	}
	return true
}

// parentOf splits a path into its parent and its own name; the parent of a top-level node is "/".
func parentOf(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '/')
	if i <= 0 {
		return "/", path[i+1:]
	}
	return path[:i], path[i+1:]
}

// reservedPath tells the nodes no client may delete.
func reservedPath(path string) bool {
	switch path {
	case "/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config":
		return true
	}
	return false
}
