package admission

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// Proxies are the load balancers whose word about a client's address is taken.
// The zero value trusts nobody.
type Proxies struct{ trusted []netip.Prefix }

// NewProxies reads addresses and networks: "10.0.0.0/8", "2001:db8::1".
func NewProxies(list []string) (Proxies, error) {
	var p Proxies
	for _, text := range list {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			addr, addrErr := netip.ParseAddr(text)
			if addrErr != nil || addr.Zone() != "" {
				return Proxies{}, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", text)
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		if a := prefix.Addr(); a.Is4In6() && prefix.Bits() >= 96 {
			prefix = netip.PrefixFrom(a.Unmap(), prefix.Bits()-96)
		}
		p.trusted = append(p.trusted, prefix.Masked())
	}
	return p, nil
}

// Trusts reports whether an address is a proxy's.
func (p Proxies) Trusts(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, t := range p.trusted {
		if t.Contains(a) {
			return true
		}
	}
	return false
}

// Client returns the address of the client behind a connection. said is what the
// request's X-Forwarded-For or Forwarded (RFC 7239) fields say, in their order.
//
// Anybody can write into these fields, and each proxy adds at the end whom it
// was asked by. So they are read from the end, and only as far as the one who
// wrote an element is trusted: the first address that is no proxy's is the
// client. An element that is no address ends the walk at the proxy that wrote it.
func (p Proxies) Client(peer netip.Addr, said ...string) netip.Addr {
	client := peer.Unmap()
	rest := strings.Join(said, ",")
	for rest != "" && p.Trusts(client) {
		last := rest
		if i := strings.LastIndexByte(rest, ','); i >= 0 {
			rest, last = rest[:i], rest[i+1:]
		} else {
			rest = ""
		}
		if last = strings.TrimSpace(last); last == "" {
			continue // an empty element says nothing (RFC 9110, 5.6.1)
		}
		a, ok := element(last)
		if !ok {
			break
		}
		client = a
	}
	return client
}

// element reads 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1]:80 and the
// pairs of Forwarded, for="[2001:db8::1]:80";proto=https. What a quoted string
// could hide, a comma, no address has.
func element(text string) (netip.Addr, bool) {
	if strings.ContainsRune(text, '=') {
		node := ""
		for pair := range strings.SplitSeq(text, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			if strings.EqualFold(name, "for") {
				node = strings.Trim(value, `"`)
			}
		}
		text = node
	}
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	return a.Unmap().WithZone(""), err == nil
}

// Network returns what one client is counted by: an IPv4 address, or the first 64
// bits of an IPv6 one, which is the least that a customer gets.
func Network(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		return netip.PrefixFrom(a, 64).Masked().Addr()
	}
	return a
}

// RemoteAddr returns the address of a connection's other end, the zero one if it has none.
func RemoteAddr(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
