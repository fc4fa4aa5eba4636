package lab

import (
	"fmt"
	"net"
	"os"
	"strings"
)

// CutFrom cuts the link for the processes alone: their connections end with a reset and they get no new ones that last.
// Heal ends it. It needs /proc, so it works on Linux only; a process that has been started again has another id.
func (l *Link) CutFrom(pids ...int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.banned = pids
	for c := range l.conns {
		if c.LocalAddr().String() == l.addr && belongs(c, pids) {
			reset(c)
			delete(l.conns, c)
		}
	}
}

// belongs reports whether the other end of an accepted connection of this machine is a socket of one of the processes.
func belongs(accepted net.Conn, pids []int) bool {
	if len(pids) == 0 {
		return false
	}
	name := "socket:[" + inode(accepted.RemoteAddr(), accepted.LocalAddr()) + "]"
	for _, pid := range pids {
		dir := fmt.Sprintf("/proc/%d/fd/", pid)
		open, err := os.ReadDir(dir)
		if err != nil {
			continue // it has ended
		}
		for _, fd := range open {
			if is, err := os.Readlink(dir + fd.Name()); err == nil && is == name {
				return true
			}
		}
	}
	return false
}

// inode finds the socket with the two addresses in the kernel's table, "" when it is gone.
func inode(local, remote net.Addr) string {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) > 9 && f[1] == kernelAddr(local) && f[2] == kernelAddr(remote) {
			return f[9]
		}
	}
	return ""
}

// kernelAddr spells an IPv4 address as the kernel's table does: the bytes of the address reversed, in hexadecimal.
func kernelAddr(a net.Addr) string {
	t, ok := a.(*net.TCPAddr)
	if !ok || t.IP.To4() == nil {
		return ""
	}
	ip := t.IP.To4()
	return fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], t.Port)
}
