package config

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

// maxSecretBytes bounds a secret file; a longer one is the wrong file.
const maxSecretBytes = 4 << 10

// RotatedSecret reads the secret that a flag names a file for, as ReadSecret does, and returns what tells it: each call
// reads the file again, so that a password that was changed is used from the next connection on. A file that cannot be
// read then leaves what was read last.
func RotatedSecret(flag, path string, problems *Problems) func() string {
	var mu sync.Mutex
	secret := ReadSecret(flag, path, problems)
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		var ignored Problems
		if now := ReadSecret(flag, path, &ignored); now != "" {
			secret = now
		}
		return secret
	}
}

// maxTokens bounds the lines of a file of tokens: the one in use, and those that are to follow it or to go.
const maxTokens = 4

// ReadTokens is ReadSecret for a file that may hold several, one a line; so is the result.
func ReadTokens(flag, path string, problems *Problems) string {
	text := readSecretFile(flag, path, problems)
	if text == "" {
		return ""
	}
	var all []string
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	if len(all) > maxTokens || strings.ContainsAny(strings.Join(all, ""), "\r\x00") {
		problems.Add(flag, path, fmt.Sprintf("must hold one token, or up to %d, one a line", maxTokens))
		return ""
	}
	return strings.Join(all, "\n")
}

// ReadSecret reads the secret that a flag names a file for: one line, white space around it removed.
// An empty path is an empty secret. Problems never hold any of the file's content.
func ReadSecret(flag, path string, problems *Problems) string {
	secret := readSecretFile(flag, path, problems)
	if strings.ContainsAny(secret, "\r\n\x00") {
		problems.Add(flag, path, "must hold one line of text")
		return ""
	}
	return secret
}

// readSecretFile reads a file that is not empty, without the white space around its text.
func readSecretFile(flag, path string, problems *Problems) string {
	if path == "" {
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		problems.Add(flag, path, fmt.Sprintf("cannot be opened: %v", err))
		return ""
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		problems.Add(flag, path, fmt.Sprintf("cannot be read: %v", err))
		return ""
	}
	secret := strings.TrimSpace(string(text))
	switch {
	case len(text) > maxSecretBytes:
		problems.Add(flag, path, "is larger than 4KiB, so it is no secret")
	case secret == "":
		problems.Add(flag, path, "is empty")
	default:
		return secret
	}
	return ""
}
