package systemd_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"eshop/pkg/systemd"
)

// childVariable makes the test binary the process that gets sockets: it says which ones it has, and greets
// one client on each.
const childVariable = "ESHOP_SYSTEMD_TEST_CHILD"

func child(known []string) int {
	listeners, err := systemd.Sockets(known...)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if again, err := systemd.Sockets(known...); len(again) > 0 || err != nil {
		fmt.Println("passed twice")
		return 1
	}
	for _, name := range known {
		l := listeners[name]
		if l == nil {
			fmt.Println(name + ": none")
			continue
		}
		c, err := l.Accept()
		if err != nil {
			fmt.Println(err)
			return 1
		}
		io.WriteString(c, name)
		c.Close()
		l.Close()
	}
	return 0
}

// pass starts the child with sockets as systemd passes them: from descriptor 3 on, for one process id.
func pass(t *testing.T, pid, names string, files ...*os.File) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `LISTEN_PID=`+pid+` exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=public,peer", fmt.Sprintf("LISTEN_FDS=%d", len(files)), "LISTEN_FDNAMES="+names)
	cmd.ExtraFiles = files
	return cmd
}

func tcp(t *testing.T) (*os.File, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, l.Addr().String()
}

// greeting is what a client of the socket gets, which may have come before its process.
func greeting(t *testing.T, addr string) <-chan string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 1)
	go func() {
		defer c.Close()
		text, _ := io.ReadAll(c)
		said <- string(text)
	}()
	return said
}

// Sockets are found by their names, in whatever order; what connected before the process was there, or
// after one process has ended and before the next begins, is served.
func TestSocketsByName(t *testing.T) {
	public, at := tcp(t)
	peer, peerAt := tcp(t)
	for range 2 {
		a, b := greeting(t, at), greeting(t, peerAt)
		if out, err := pass(t, "$$", "peer:public", peer, public).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if got := <-a; got != "public" {
			t.Errorf("the public listener says %q", got)
		}
		if got := <-b; got != "peer" {
			t.Errorf("the peer listener says %q", got)
		}
	}
}

func TestSocketsThatCannotBeUsed(t *testing.T) {
	one, _ := tcp(t)
	two, _ := tcp(t)
	path := filepath.Join(t.TempDir(), "s")
	unix, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	local, err := unix.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	plain, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	for _, c := range []struct {
		name, pid, names string
		files            []*os.File
		want             []string
		fails            bool
	}{
		{"meant for another process", "1", "public", []*os.File{one}, []string{"public: none", "peer: none"}, false},
		{"none", "$$", "", nil, []string{"public: none"}, false},
		{"an unknown name, as a unit without FileDescriptorName= has", "$$", "eshop-gateway-public.socket", []*os.File{one}, []string{`"eshop-gateway-public.socket"`, "FileDescriptorName=", "public, peer"}, true},
		{"the same name twice", "$$", "public:public", []*os.File{one, two}, []string{`two sockets named "public"`, "ListenStream="}, true},
		{"not TCP", "$$", "public", []*os.File{local}, []string{`"public"`, "is not TCP", "ListenStream="}, true},
		{"no socket, and another mistake", "$$", "public:x", []*os.File{plain, one}, []string{"is no listener", `named "x"`}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := pass(t, c.pid, c.names, c.files...).CombinedOutput()
			if (err != nil) != c.fails {
				t.Errorf("it ended with %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("lacks %q:\n%s", want, out)
				}
			}
		})
	}
}
