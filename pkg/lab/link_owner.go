package lab

import (
	"fmt"
	"net"
	"os"
)

// CutFrom cuts the link for the processes alone: their connections end with a reset and they get no new ones that last.
// Heal ends it. It works on Linux only; a process that has been started again has another id.
func (l *Link) CutFrom(pids ...int) {
	l.mu.Lock()
	l.banned = pids
	var clients []net.Conn
	for c := range l.conns {
		if c.LocalAddr().String() == l.addr {
			clients = append(clients, c)
		}
	}
	l.mu.Unlock()
	for _, c := range clients {
		l.expel(c)
	}
}

// expel ends a client's connection when the link is cut for its process. A connection that comes is in the list before
// it is looked at, and the ban is there before the list is gone through: none is missed.
func (l *Link) expel(c net.Conn) (expelled bool) {
	l.mu.Lock()
	banned := l.banned
	l.mu.Unlock()
	if len(banned) == 0 || !belongs(c, banned) {
		return false
	}
	reset(c)
	return true
}

// belongs reports whether the other end of an accepted connection of this machine is a socket of one of the processes.
func belongs(accepted net.Conn, pids []int) bool {
	inode, ok := inodeOf(accepted.RemoteAddr(), accepted.LocalAddr())
	if !ok {
		return false // it is gone
	}
	name := fmt.Sprintf("socket:[%d]", inode)
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
