package lab

import (
	"crypto/rand"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"eshop/pkg/lab/internal/server"
)

// The secured servers belong to the test that starts them, have nothing but the encrypted listener for clients, and know
// one user who may do everything: Admin, with a password that is drawn anew.

// Admin is the user of every secured server who may do everything.
const Admin = "lab-admin"

// newPassword draws a password that is found again in a text by a plain search.
func newPassword() string { return "pw" + strings.ToLower(rand.Text()) }

// takePort reserves a port of the loopback address until the test's end.
func takePort(tb testing.TB, offset int) (port int, addr string) {
	tb.Helper()
	port, release, err := server.TakePort(offset)
	if err != nil {
		tb.Fatalf("take a port: %v", err)
	}
	tb.Cleanup(release)
	return port, net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// settingsFile writes lines to a file in a directory of the test's.
func settingsFile(tb testing.TB, dir, name string, lines ...string) string {
	tb.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		tb.Fatalf("write %s: %v", name, err)
	}
	return file
}

// FreeAddr reserves an address of the loopback for a listener of the test's own until its end.
func FreeAddr(tb testing.TB) string {
	tb.Helper()
	_, addr := takePort(tb, 0)
	return addr
}
