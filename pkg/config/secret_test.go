package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"eshop/pkg/config"
)

// TestRotatedSecret: a file that was changed tells the new secret, one that cannot be used the last one.
func TestRotatedSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first\n")
	var problems config.Problems
	secret := config.RotatedSecret("redis.password-file", file, &problems)
	expect := func(want string) {
		t.Helper()
		if got := secret(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	expect("first")
	write("second\n")
	expect("second")
	write("")
	expect("second")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	expect("second")
	write("third")
	expect("third")
	if err := problems.Err(); err != nil {
		t.Errorf("problems: %v", err)
	}
	config.RotatedSecret("redis.password-file", filepath.Join(t.TempDir(), "none"), &problems)
	if problems.Err() == nil {
		t.Error("a file that is not there at the start is no problem")
	}
}
