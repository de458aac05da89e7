package concordhttp

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/concord-go/concord/fence"
)

// The headers that tell of addresses.
const (
	headerForwardedFor = "X-Forwarded-For"
	headerForwarded    = "Forwarded" // RFC 7239
)

const (
	defaultIPv4Bits = 32
	defaultIPv6Bits = 64
	maxHops         = 16  // proxies that are believed, one behind the other
	maxHop          = 256 // bytes that one of them writes
)

// AddressOptions configure [ByAddress]. The zero value of every field means its default; nil means all
// defaults.
type AddressOptions struct {
	// Proxies are the addresses of proxies that are believed about where a request came from. The
	// default is none: then the key is the address of the connection, whatever headers say.
	Proxies []netip.Prefix

	// Header is what the proxies write: X-Forwarded-For, which is the default, or Forwarded of RFC
	// 7239. Only this one is read: a header that the proxies do not write comes from the client.
	Header string

	// IPv4Bits and IPv6Bits are how much of an address tells clients apart: 8 to 32, default 32, and
	// 16 to 128, default 64, which is what one customer commonly has at least.
	IPv4Bits, IPv6Bits int

	_ struct{}
}

func (o *AddressOptions) withDefaults() (AddressOptions, error) {
	var opt AddressOptions
	if o != nil {
		opt = *o
	}
	if opt.Header == "" {
		opt.Header = headerForwardedFor
	}
	if opt.IPv4Bits == 0 {
		opt.IPv4Bits = defaultIPv4Bits
	}
	if opt.IPv6Bits == 0 {
		opt.IPv6Bits = defaultIPv6Bits
	}
	opt.Header = http.CanonicalHeaderKey(opt.Header)
	opt.Proxies = slices.Clone(opt.Proxies)
	var errs []error
	check := func(ok bool, field, problem string) {
		if !ok {
			errs = append(errs, &fence.InvalidError{Field: field, Problem: problem})
		}
	}
	check(opt.Header == headerForwardedFor || opt.Header == headerForwarded, "Header", "must be X-Forwarded-For or Forwarded")
	check(opt.IPv4Bits >= 8 && opt.IPv4Bits <= 32, "IPv4Bits", "must be 8 to 32")
	check(opt.IPv6Bits >= 16 && opt.IPv6Bits <= 128, "IPv6Bits", "must be 16 to 128")
	check(!slices.ContainsFunc(opt.Proxies, func(p netip.Prefix) bool { return !p.IsValid() || p.Addr().Is4In6() }),
		"Proxies", "must be valid, and not IPv4 within IPv6")
	return opt, errors.Join(errs...)
}

// ByAddress takes the address of the client as the key, such as "192.0.2.7" or "2001:db8:1:2::/64".
//
// It is the address of the connection. If that is one of a proxy that is believed, it is the address
// that the proxy has written at the end of the header; if that is one of a proxy too, the one before, and
// so on, for up to 16 proxies. What stands further left is the client's and is never believed. What is
// not an address, such as "unknown", ends the walk: the key is then that of the last proxy, so what
// comes through it is counted together. So is what has an element of more than 256 bytes there.
//
// A peer without an address, such as that of a Unix socket, has no key. Middleware that writes a header
// into RemoteAddr belongs inside the limit and not around it.
//
// All problems with the options are reported at once, each as a [*fence.InvalidError].
func ByAddress(o *AddressOptions) (KeyFunc, error) {
	opt, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("concordhttp: by address: %w", err)
	}
	return func(r *http.Request) (string, error) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return "", ErrNoKey
		}
		return opt.key(opt.client(plain(peer.Addr()), r.Header.Values(opt.Header))), nil
	}, nil
}

// key returns the part of an address that tells clients apart.
func (o *AddressOptions) key(addr netip.Addr) string {
	bits := o.IPv6Bits
	if addr.Is4() {
		bits = o.IPv4Bits
	}
	if bits == addr.BitLen() {
		return addr.String()
	}
	p, err := addr.Prefix(bits)
	if err != nil { // the bits fit the address
		return addr.String()
	}
	return p.String()
}

// client walks from the peer towards the client.
func (o *AddressOptions) client(peer netip.Addr, lines []string) netip.Addr {
	forwarded := o.Header == headerForwarded
	left := hops{lines: lines, quotes: forwarded}
	addr := peer
	for range maxHops {
		if !o.proxy(addr) {
			return addr
		}
		hop, ok := left.last()
		if !ok {
			return addr
		}
		next, ok := addressOf(hop, forwarded)
		if !ok {
			return addr
		}
		addr = next
	}
	return addr
}

func (o *AddressOptions) proxy(addr netip.Addr) bool {
	return slices.ContainsFunc(o.Proxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// hops is a list that stands in one or more lines. It is read from the right, so that what a client has
// put to the left, such as a quote that is never closed, does not change how the elements of proxies are
// read.
type hops struct {
	lines  []string
	quotes bool   // commas in quotes do not part elements
	rest   string // of the line that is being read
	inside bool   // a line
}

// last takes the last element off the list. Empty ones are none (RFC 9110, 5.6.1).
func (h *hops) last() (hop string, ok bool) {
	for h.inside || len(h.lines) > 0 {
		if !h.inside {
			h.rest, h.lines, h.inside = h.lines[len(h.lines)-1], h.lines[:len(h.lines)-1], true
		}
		at, quoted := len(h.rest)-1, false
		for ; at >= 0 && (quoted || h.rest[at] != ','); at-- {
			if len(h.rest)-at > maxHop {
				return "", false
			}
			if h.quotes && h.rest[at] == '"' {
				quoted = !quoted
			}
		}
		hop = strings.Trim(h.rest[at+1:], " \t")
		h.rest, h.inside = h.rest[:max(at, 0)], at >= 0
		if hop != "" {
			return hop, !quoted
		}
	}
	return "", false
}

// addressOf returns the address in an element.
func addressOf(hop string, forwarded bool) (netip.Addr, bool) {
	if forwarded {
		var ok bool
		if hop, ok = forOf(hop); !ok {
			return netip.Addr{}, false
		}
	}
	if inner, ok := strings.CutPrefix(hop, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok {
			addr, err := netip.ParseAddr(inner)
			return plain(addr), err == nil && addr.Is6()
		}
	}
	addr, err := netip.ParseAddr(hop)
	if err != nil {
		var port netip.AddrPort
		port, err = netip.ParseAddrPort(hop)
		addr = port.Addr()
	}
	return plain(addr), err == nil
}

// forOf returns the value of for= in an element of Forwarded, which has it once. No address needs a
// backslash, and what one escapes, such as a quote in a host name, could look like another parameter.
func forOf(hop string) (string, bool) {
	if strings.Contains(hop, `\`) {
		return "", false
	}
	value, found, quoted := "", false, false
	for pair := range strings.FieldsFuncSeq(hop, func(c rune) bool {
		quoted = quoted != (c == '"')
		return c == ';' && !quoted
	}) {
		name, v, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
		if !strings.EqualFold(name, "for") {
			continue
		}
		if found {
			return "", false
		}
		value, found = v, true
	}
	if inner, ok := strings.CutPrefix(value, `"`); ok {
		value, found = strings.CutSuffix(inner, `"`)
	}
	return value, found
}

// plain returns the address without its zone, and as IPv4 if it is that within IPv6.
func plain(addr netip.Addr) netip.Addr { return addr.WithZone("").Unmap() }
