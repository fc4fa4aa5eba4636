package credential_test

import (
	"testing"

	"eshop/pkg/credential"
)

// The first token is shown, all are taken, and nothing else is.
func TestTokens(t *testing.T) {
	var none *credential.Tokens
	for name, tokens := range map[string]*credential.Tokens{"nil": none, "empty": credential.NewTokens("")} {
		if tokens.Header() != "" || !tokens.Admits(nil) {
			t.Errorf("%s: shows %q, admits %v", name, tokens.Header(), tokens.Admits(nil))
		}
	}
	tokens := credential.NewTokens("old\nnew\n")
	if got := tokens.Header(); got != "Bearer old" {
		t.Errorf("shows %q", got)
	}
	check := func(taken, refused []string) {
		t.Helper()
		for _, one := range taken {
			if !tokens.Admits([]byte(one)) {
				t.Errorf("refuses %q", one)
			}
		}
		for _, one := range append(refused, "", "Bearer ", "Bearer", "old", "new", "Bearer old ", "bearer old", "Bearer other") {
			if tokens.Admits([]byte(one)) {
				t.Errorf("admits %q", one)
			}
		}
	}
	check([]string{"Bearer old", "Bearer new"}, nil)
	tokens.Set("new")
	check([]string{"Bearer new"}, []string{"Bearer old"})
	if got := tokens.Header(); got != "Bearer new" {
		t.Errorf("shows %q", got)
	}
	authorization := []byte("Bearer new")
	if n := testing.AllocsPerRun(100, func() { tokens.Admits(authorization) }); n > 0 {
		t.Errorf("a look allocates %v times", n)
	}
}
