package membership

import (
	"fmt"
	"net"
	"os"
)

// OnLoopback reports whether a listener on host:port can be reached from its
// own machine only. What is no address is not a listener either, and says true:
// that is a problem of its own.
func OnLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return true
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Advertised is the address that a group is told of a listener: the given one,
// else the bound one, with the machine's name in place of an unspecified host.
func Advertised(given, bound string) (string, error) {
	if given != "" {
		return given, nil
	}
	host, port, err := net.SplitHostPort(bound)
	if err != nil {
		return "", fmt.Errorf("find the address to tell others: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		if host, err = os.Hostname(); err != nil {
			return "", fmt.Errorf("find the address to tell others: %w", err)
		}
	}
	return net.JoinHostPort(host, port), nil
}
