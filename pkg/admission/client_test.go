package admission_test

import (
	"net/netip"
	"testing"

	"eshop/pkg/admission"
)

func TestClient(t *testing.T) {
	p, err := admission.NewProxies([]string{"10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::ffff:172.16.0.0/108"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, peer string
		said       []string
		want       string
	}{
		{"no proxy at all", "198.51.100.1", nil, "198.51.100.1"},
		{"a client that lies", "198.51.100.1", []string{"1.2.3.4"}, "198.51.100.1"},
		{"behind one proxy", "10.1.1.1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"a proxy that says nothing", "10.1.1.1", nil, "10.1.1.1"},
		{"a client that lies, behind a proxy", "10.1.1.1", []string{"1.2.3.4, 198.51.100.1"}, "198.51.100.1"},
		{"which names a trusted address", "10.1.1.1", []string{"10.9.9.9, 198.51.100.1"}, "198.51.100.1"},
		{"behind two proxies", "10.1.1.1", []string{"1.2.3.4, 198.51.100.1, 192.0.2.7"}, "198.51.100.1"},
		{"in two fields", "10.1.1.1", []string{"1.2.3.4", "198.51.100.1", "192.0.2.7"}, "198.51.100.1"},
		{"only proxies", "10.1.1.1", []string{"10.2.2.2, 10.3.3.3"}, "10.2.2.2"},
		{"rubbish ends the walk", "10.1.1.1", []string{"1.2.3.4, unknown, 10.3.3.3"}, "10.3.3.3"},
		{"empty elements say nothing", "10.1.1.1", []string{" , 198.51.100.1,, "}, "198.51.100.1"},
		{"with a port", "10.1.1.1", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		{"IPv6", "2001:db8::1", []string{"2a00::1"}, "2a00::1"},
		{"IPv6 with a port", "2001:db8::1", []string{"[2a00::1]:4711"}, "2a00::1"},
		{"IPv4 within IPv6", "::ffff:10.1.1.1", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"a network given so", "172.16.5.5", []string{"198.51.100.1"}, "198.51.100.1"},
		{"Forwarded", "10.1.1.1", []string{`for=1.2.3.4, for="198.51.100.1:80";proto=https;by=10.1.1.1`}, "198.51.100.1"},
		{"Forwarded, IPv6", "10.1.1.1", []string{`By=10.1.1.1; For="[2a00::1]:80"`}, "2a00::1"},
		{"Forwarded, obfuscated", "10.1.1.1", []string{"for=1.2.3.4, for=_hidden"}, "10.1.1.1"},
	} {
		if got := p.Client(netip.MustParseAddr(c.peer), c.said...); got != netip.MustParseAddr(c.want) {
			t.Errorf("%s: %s says %q: got %v, want %s", c.name, c.peer, c.said, got, c.want)
		}
	}
	var nobody admission.Proxies
	if got := nobody.Client(netip.MustParseAddr("127.0.0.1"), "198.51.100.1"); got != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("nobody is trusted: got %v", got)
	}
	for _, bad := range []string{"", "10.0.0.0/33", "example.org", "fe80::1%eth0", "10.0.0.0/8,10.0.0.1"} {
		if _, err := admission.NewProxies([]string{bad}); err == nil {
			t.Errorf("%q is taken for a network", bad)
		}
	}
}

func TestNetwork(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "fe80::1%eth0": "fe80::",
	} {
		if got := admission.Network(netip.MustParseAddr(in)); got != netip.MustParseAddr(want) {
			t.Errorf("%s counts as %v, want %s", in, got, want)
		}
	}
}

// Nothing a client writes makes it somebody else, as long as a trusted proxy adds
// the client's address at the end.
func FuzzClient(f *testing.F) {
	f.Add("1.2.3.4, 10.0.0.1")
	f.Add(`for="[2001:db8::1]:80";proto=https, for=_x`)
	f.Add(`for="1.2.3.4, for=`)
	p, err := admission.NewProxies([]string{"10.0.0.0/8"})
	if err != nil {
		f.Fatal(err)
	}
	proxy, client := netip.MustParseAddr("10.1.1.1"), netip.MustParseAddr("198.51.100.1")
	f.Fuzz(func(t *testing.T, said string) {
		if got := p.Client(proxy, said+", 198.51.100.1"); got != client {
			t.Errorf("%q: got %v", said, got)
		}
		if got := p.Client(proxy, said, "198.51.100.1"); got != client {
			t.Errorf("%q in a field of its own: got %v", said, got)
		}
		if got := p.Client(client, said); got != client {
			t.Errorf("%q without a proxy: got %v", said, got)
		}
	})
}
