package credential

import (
	"crypto/sha256"
	"crypto/subtle"
	"strings"
	"sync/atomic"
)

// Tokens are the secrets by which the processes of a fleet know each other. The first is the one that is shown to
// others, each is taken from them: so one that is to be replaced is changed everywhere without a moment in which two
// processes do not know each other. The new one is put last, everywhere; then first, everywhere; then the old one goes.
//
// Nil Tokens, and those that hold none, show nothing and take everything. They are safe for concurrent use.
type Tokens struct{ now atomic.Pointer[tokens] }

type tokens struct {
	header string
	sums   [][sha256.Size]byte
}

const bearer = "Bearer "

// NewTokens returns the tokens of a text, one a line.
func NewTokens(text string) *Tokens {
	t := new(Tokens)
	t.Set(text)
	return t
}

// Set changes them for what is shown and taken from now on.
func (t *Tokens) Set(text string) {
	next := new(tokens)
	for one := range strings.SplitSeq(text, "\n") {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		if next.header == "" {
			next.header = bearer + one
		}
		next.sums = append(next.sums, sha256.Sum256([]byte(one)))
	}
	t.now.Store(next)
}

// Header is the value of an Authorization header that shows the first token, "" when there is none.
func (t *Tokens) Header() string {
	if t == nil {
		return ""
	}
	return t.now.Load().header
}

// Admits reports whether an Authorization header shows one of the tokens. They are compared by their hashes, in a time
// that tells nothing.
func (t *Tokens) Admits(authorization []byte) bool {
	if t == nil {
		return true
	}
	known := t.now.Load()
	if len(known.sums) == 0 {
		return true
	}
	given, ok := strings.CutPrefix(string(authorization), bearer)
	sum, same := sha256.Sum256([]byte(given)), 0
	for i := range known.sums {
		same |= subtle.ConstantTimeCompare(sum[:], known.sums[i][:])
	}
	return same == 1 && ok
}
