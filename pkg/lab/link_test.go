package lab_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"eshop/pkg/lab"
)

func contains(err error, text string) bool { return err != nil && strings.Contains(err.Error(), text) }

// echo answers every byte with itself.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

func dial(t *testing.T, l *lab.Link) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// say sends the text and reads as many bytes back within the limit.
func say(c net.Conn, text string, limit time.Duration) (string, error) {
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	got := make([]byte, len(text))
	n, err := io.ReadFull(c, got)
	return string(got[:n]), err
}

func expect(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if got, err := say(c, text, 5*time.Second); err != nil || got != text {
		t.Errorf("got %q, %v, want %q back", got, err, text)
	}
}

func TestLinkCutAndHeal(t *testing.T) {
	l := lab.NewLink(t, echo(t))
	old := dial(t, l)
	expect(t, old, "before")
	l.Cut()
	if got, err := say(old, "during", 5*time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection from before the cut: got %q, %v, want it dead", got, err)
	}
	if c, err := net.Dial("tcp", l.Addr()); err == nil {
		c.Close()
		t.Error("a cut link accepts a connection")
	}
	l.Heal()
	expect(t, dial(t, l), "after")
	l.Cut()
	l.Cut()
	l.Heal()
	l.Heal()
	expect(t, dial(t, l), "after two of each")
}

func TestLinkBlackhole(t *testing.T) {
	l := lab.NewLink(t, echo(t))
	old := dial(t, l)
	expect(t, old, "before")
	l.Blackhole()
	if got, err := say(old, "kept", 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("an old connection in the hole: got %q, %v, want silence", got, err)
	}
	young := dial(t, l)
	if got, err := say(young, "new", 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a new connection in the hole: got %q, %v, want silence", got, err)
	}
	l.Heal()
	expectRead(t, old, "kept")
	expectRead(t, young, "new")
	l.Blackhole()
	l.Cut()
	if got, err := say(old, "x", 5*time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("cut after the hole: got %q, %v, want the connection dead", got, err)
	}
}

func expectRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestLinkDelay(t *testing.T) {
	l := lab.NewLink(t, echo(t))
	c := dial(t, l)
	expect(t, c, "fast")
	const delay = 60 * time.Millisecond
	l.Delay(delay)
	began := time.Now()
	expect(t, c, "slow")
	if took := time.Since(began); took < 2*delay {
		t.Errorf("there and back took %v, want at least %v", took, 2*delay)
	}
	// A delay is no rate limit: many small messages on their way at once take one delay, not one each.
	began = time.Now()
	expect(t, c, strings.Repeat("many ", 2000))
	if took := time.Since(began); took > 40*delay {
		t.Errorf("a longer message took %v, want near %v", took, 2*delay)
	}
	l.Delay(0)
}

func TestLinkDropAndCount(t *testing.T) {
	l := lab.NewLink(t, echo(t))
	c := dial(t, l)
	expect(t, c, "x")
	if got := l.Connections(); got != 1 {
		t.Errorf("got %d connections, want 1", got)
	}
	l.Drop()
	if _, err := say(c, "y", 5*time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a dropped connection: got %v, want it dead", err)
	}
	lab.Until(t, 5*time.Second, func(context.Context) error {
		if l.Connections() != 0 {
			return errors.New("a connection is left")
		}
		return nil
	})
	expect(t, dial(t, l), "again")
}

// The end of one direction is passed on as such: a request that ends in a half-close gets its whole answer.
func TestLinkHalfClose(t *testing.T) {
	l := lab.NewLink(t, echo(t))
	c := dial(t, l)
	if _, err := io.WriteString(c, "all of it"); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != "all of it" {
		t.Errorf("got %q, %v, want the whole echo and a clean end", got, err)
	}
}

func TestLinkWithoutTarget(t *testing.T) {
	l := lab.NewLink(t, "")
	if _, err := say(dial(t, l), "x", 5*time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a link that leads nowhere: got %v, want the connection closed", err)
	}
	l.Lead(echo(t))
	expect(t, dial(t, l), "now")
}

// A link is cut for this process and goes on serving another.
func TestLinkCutFromOneProcess(t *testing.T) {
	if runtime.GOOS != "linux" && os.Getenv("ESHOP_TEST_STRICT") != "1" {
		t.Skip("the owner of a connection is known on Linux only")
	}
	l := lab.NewLink(t, echo(t))
	_, port, err := net.SplitHostPort(l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	other := exec.Command("bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/"+port+"; while read line; do echo $line >&3; read -u 3 back; echo $back; done")
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		if err := other.Wait(); err != nil {
			t.Errorf("the other process: %v", err)
		}
	}()
	answers := bufio.NewScanner(out)
	served := func(text string) {
		t.Helper()
		if _, err := io.WriteString(in, text+"\n"); err != nil || !answers.Scan() || answers.Text() != text {
			t.Errorf("the other process got %q (%v), want %q", answers.Text(), err, text)
		}
	}
	own := dial(t, l)
	expect(t, own, "before")
	served("before")
	l.CutFrom(os.Getpid())
	if got, err := say(own, "x", 5*time.Second); err == nil {
		t.Errorf("a connection from before the cut brings %q", got)
	}
	if late, err := net.Dial("tcp", l.Addr()); err == nil { // else it was quicker
		if got, err := say(late, "x", 5*time.Second); err == nil {
			t.Errorf("a connection from after the cut brings %q", got)
		}
		late.Close()
	}
	served("during")
	l.Heal()
	expect(t, dial(t, l), "after")
	served("after")
}
