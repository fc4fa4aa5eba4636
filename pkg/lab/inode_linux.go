package lab

import (
	"encoding/binary"
	"net"

	"golang.org/x/sys/unix"
)

// inodeOf asks the kernel (sock_diag) for the inode of the TCP socket with the two IPv4 addresses. The table in /proc has
// the same, but takes tens of milliseconds to read on a machine with thousands of sockets.
func inodeOf(local, remote net.Addr) (inode uint32, ok bool) {
	from, okFrom := local.(*net.TCPAddr)
	to, okTo := remote.(*net.TCPAddr)
	if !okFrom || !okTo || from.IP.To4() == nil || to.IP.To4() == nil {
		return 0, false
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, false
	}
	defer unix.Close(fd)
	const (
		headerSize  = 16 // struct nlmsghdr
		requestSize = 56 // struct inet_diag_req_v2
		inodeAt     = headerSize + 4 + 48 + 16
	)
	m := make([]byte, headerSize+requestSize)
	native := binary.NativeEndian
	native.PutUint32(m[0:], uint32(len(m)))
	native.PutUint16(m[4:], unix.SOCK_DIAG_BY_FAMILY)
	native.PutUint16(m[6:], unix.NLM_F_REQUEST)
	r := m[headerSize:]
	r[0], r[1] = unix.AF_INET, unix.IPPROTO_TCP
	native.PutUint32(r[4:], 0xffffffff) // in any state
	id := r[8:]                         // struct inet_diag_sockid
	binary.BigEndian.PutUint16(id[0:], uint16(from.Port))
	binary.BigEndian.PutUint16(id[2:], uint16(to.Port))
	copy(id[4:], from.IP.To4())
	copy(id[20:], to.IP.To4())
	native.PutUint32(id[40:], 0xffffffff) // no cookie
	native.PutUint32(id[44:], 0xffffffff)
	if err := unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, false
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil || n < inodeAt+4 || native.Uint16(answer[4:]) != unix.SOCK_DIAG_BY_FAMILY {
		return 0, false
	}
	return native.Uint32(answer[inodeAt:]), true
}
