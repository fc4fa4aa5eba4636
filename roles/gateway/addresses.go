package gateway

import "eshop/pkg/lifecycle"

// Addresses lists the role's listeners, for Announce.
func (r *Role) Addresses() []lifecycle.Address {
	first := r.cat.Pages()[0]
	return []lifecycle.Address{
		{What: first.Name + " pages", URL: r.tls.Scheme() + "://" + r.Addr() + first.Path + "?" + first.Param + "=1"},
		{What: "gateway peers", URL: r.cluster.Scheme() + "://" + r.PeerAddr() + "/"},
	}
}
