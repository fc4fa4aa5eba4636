package systemd

import (
	_ "embed"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"text/template"
	"time"
)

// The names of the gateway's sockets, as their units give them.
const (
	Public = "public"
	Peer   = "peer"
)

//go:embed service.tmpl
var serviceText string

//go:embed socket.tmpl
var socketText string

// Service describes the unit eshop-<role>.service.
type Service struct {
	Role   string
	Binary string // absolute path of the program; see CheckPath
	Memory Memory
	Files  int // bound of open files
	// Stop is how long an orderly end may take.
	Stop time.Duration
	// Secrets are settings that name a file with a secret.
	Secrets []Secret
	// Sockets: the listeners may be units of their own (Socket).
	Sockets bool
}

// Secret is a credential of a service, which systemd reads as root when it starts.
type Secret struct {
	ID       string // cluster-token
	File     string // where it is; see CheckPath
	Variable string // the environment variable that gets the path of the copy
	Needed   bool   // else it is printed as a comment
}

// Memory is what a role needs, in bytes.
type Memory struct {
	// Kept is what it is told to keep, which counts twice: what was dropped stays until the collector has
	// found it.
	Kept int64
	// Clients times PerClient is for open connections, Rest for everything else.
	Clients   int
	PerClient int64
	Rest      int64
}

const mib = 1 << 20

// limits: goLimit is the bound that the Go runtime keeps (GOMEMLIMIT), max that of the kernel, a quarter above: it
// holds what Go does not count, such as the buffers of sockets, and what it needs beyond its own bound
// for a moment. Both are in MiB.
func (m Memory) limits() (goLimit, max int64) {
	bytes := 2*m.Kept + int64(m.Clients)*m.PerClient + m.Rest
	goLimit = int64(math.Ceil(float64(bytes) / mib))
	return goLimit, goLimit + (goLimit+3)/4
}

func (m Memory) why(role string) string {
	size := func(n int64) string { return fmt.Sprintf("%d MiB", int64(math.Ceil(float64(n)/mib))) }
	kept := "what the caches keep"
	if role == "hotcount" {
		kept = "what the counters keep"
	}
	parts := []string{fmt.Sprintf("twice %s (%s)", kept, size(m.Kept))}
	if m.Clients > 0 {
		parts = append(parts, fmt.Sprintf("%d connections of %d KiB", m.Clients, m.PerClient>>10))
	}
	parts = append(parts, size(m.Rest)+" for the rest")
	return "The collector's bound is " + strings.Join(parts, ", ") + "; the kernel's is a quarter above.\n" +
		"# They are limits, nothing is reserved. Print the unit again after a change of these settings."
}

// Text returns the unit.
func (s Service) Text() (string, error) {
	goLimit, maximum := s.Memory.limits()
	var sockets []string
	if s.Sockets {
		sockets = []string{SocketUnit(Public), SocketUnit(Peer)}
	}
	return fill("service", serviceText, map[string]any{
		"Role": s.Role, "Binary": s.Binary, "Sockets": sockets, "Secrets": s.Secrets, "Files": s.Files,
		"Stop": int64(math.Ceil(s.Stop.Seconds())), "GoLimit": goLimit, "MemoryMax": maximum, "MemoryWhy": s.Memory.why(s.Role),
	})
}

// SocketUnit is the name of the unit of one of the gateway's listeners.
func SocketUnit(name string) string { return "eshop-gateway-" + name + ".socket" }

// Socket returns the unit of one of the gateway's listeners at the address that the gateway's flag would
// give it.
func Socket(name, addr string) (string, error) {
	listen, err := listenStream(addr)
	if err != nil {
		return "", err
	}
	return fill("socket", socketText, map[string]any{"Name": name, "Listen": listen})
}

// listenStream writes host:port the way units do: without a host the port alone.
func listenStream(addr string) (string, error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("must be host:port: %w", err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return "", fmt.Errorf("must have a port from 1 to 65535 for a socket unit, not %q", text)
	}
	if host == "" {
		return text, nil
	}
	if ip, err := netip.ParseAddr(host); err != nil || ip.Zone() != "" {
		return "", fmt.Errorf("must name an IP address, or none for all of them, for a socket unit, not %q", host)
	}
	return addr, nil
}

// CheckPath returns what is wrong with a path as the program or a credential of a unit.
func CheckPath(p string) error {
	switch {
	case !path.IsAbs(p):
		return errors.New("must be an absolute path: systemd looks nowhere else")
	case strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"'\%$;`, r) }):
		return errors.New("must be made of plain characters, without blanks, quotes, backslashes, %, $ and semicolons, which mean something in a unit")
	}
	return nil
}

func fill(name, text string, values map[string]any) (string, error) {
	t, err := template.New(name).Option("missingkey=error").Parse(text)
	if err != nil {
		return "", fmt.Errorf("write the %s unit: %w", name, err)
	}
	var b strings.Builder
	if err := t.Execute(&b, values); err != nil {
		return "", fmt.Errorf("write the %s unit: %w", name, err)
	}
	return b.String(), nil
}
