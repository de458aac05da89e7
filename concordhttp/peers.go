package concordhttp

import (
	"net/http"
	"net/netip"
	"slices"
)

// TrustAddresses trusts peers whose address is in one of prefixes; without prefixes, nobody. The
// address is that of the connection ([http.Request.RemoteAddr]), never what X-Forwarded-For or the
// like say, which anybody can write. Middleware that writes such a header into RemoteAddr belongs
// inside the Fence and not around it.
//
// Behind a proxy every peer is the proxy, which must then remove our headers from what comes from
// outside.
func TrustAddresses(prefixes ...netip.Prefix) func(*http.Request) bool {
	prefixes = slices.Clone(prefixes)
	return func(r *http.Request) bool {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return false // such as a Unix socket's
		}
		addr := peer.Addr().Unmap()
		return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
	}
}

// TrustNames trusts peers with a client certificate that the server's TLS configuration has verified
// (tls.Config.ClientAuth: VerifyClientCertIfGiven or RequireAndVerifyClientCert) and that names one
// of names as a DNS name or a URI, such as "spiffe://prod/worker", spelt exactly so; without names,
// nobody. The common name does not count.
func TrustNames(names ...string) func(*http.Request) bool {
	names = slices.Clone(names)
	return func(r *http.Request) bool {
		if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.VerifiedChains[0]) == 0 {
			return false
		}
		leaf := r.TLS.VerifiedChains[0][0]
		for _, uri := range leaf.URIs {
			if slices.Contains(names, uri.String()) {
				return true
			}
		}
		return slices.ContainsFunc(leaf.DNSNames, func(n string) bool { return slices.Contains(names, n) })
	}
}
