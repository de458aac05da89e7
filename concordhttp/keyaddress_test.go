package concordhttp_test

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/concord-go/concord/concordhttp"
	"github.com/concord-go/concord/fence"
)

// proxies are believed in these tests.
var proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}

func byAddress(t testing.TB, o *concordhttp.AddressOptions) concordhttp.KeyFunc {
	t.Helper()
	by, err := concordhttp.ByAddress(o)
	if err != nil {
		t.Fatal(err)
	}
	return by
}

// from is a request of a peer, with lines of a header.
func from(peer, header string, lines ...string) *http.Request {
	return &http.Request{RemoteAddr: peer, Header: http.Header{header: lines}}
}

func TestByAddressOfThePeer(t *testing.T) {
	by := byAddress(t, nil)
	wide := byAddress(t, &concordhttp.AddressOptions{IPv4Bits: 24, IPv6Bits: 56})
	whole := byAddress(t, &concordhttp.AddressOptions{IPv6Bits: 128})
	for _, c := range []struct {
		by         concordhttp.KeyFunc
		peer, want string
	}{
		{by, "192.0.2.7:80", "192.0.2.7"},
		{by, "[::ffff:192.0.2.7]:80", "192.0.2.7"},
		{by, "[2001:db8:1:2:3:4:5:6]:80", "2001:db8:1:2::/64"},
		{by, "[2001:db8:1:2:ffff::]:1", "2001:db8:1:2::/64"},
		{by, "[fe80::1%eth0]:80", "fe80::/64"},
		{wide, "192.0.2.7:80", "192.0.2.0/24"},
		{wide, "[2001:db8:1:2ff:3:4:5:6]:80", "2001:db8:1:200::/56"},
		{whole, "[2001:db8::1]:80", "2001:db8::1"},
		{whole, "[fe80::1%eth0]:80", "fe80::1"},
	} {
		// Without proxies no header counts.
		if key, err := c.by(from(c.peer, "X-Forwarded-For", "198.51.100.1")); key != c.want || err != nil {
			t.Errorf("%s: %q, %v; want %q", c.peer, key, err, c.want)
		}
	}
	for _, peer := range []string{"", "@", "192.0.2.7", "x:80", "192.0.2.7:80, 198.51.100.1:80"} {
		if key, err := by(from(peer, "X-Forwarded-For")); !errors.Is(err, concordhttp.ErrNoKey) {
			t.Errorf("%q: %q, %v", peer, key, err)
		}
	}
}

func TestByAddressBehindProxies(t *testing.T) {
	const peer = "10.0.0.1:4000"
	chain := func(n int) string { return "203.0.113.9, " + strings.Repeat("10.0.0.3, ", n-1) + "10.0.0.4" }
	for header, cases := range map[string][]struct {
		peer  string
		lines []string
		want  string
	}{
		"X-Forwarded-For": {
			{peer, nil, "10.0.0.1"},
			{peer, []string{"192.0.2.7"}, "192.0.2.7"},
			{peer, []string{"192.0.2.7:1234"}, "192.0.2.7"},
			{peer, []string{"2001:db8::1"}, "2001:db8::/64"},
			{peer, []string{"[2001:db8::1]"}, "2001:db8::/64"},
			{peer, []string{"[2001:db8::1]:1234"}, "2001:db8::/64"},
			{peer, []string{"fe80::1%eth0"}, "fe80::/64"},
			{peer, []string{"::ffff:192.0.2.7"}, "192.0.2.7"},
			{"[::ffff:10.0.0.1]:80", []string{"192.0.2.7"}, "192.0.2.7"},
			// What the client has written stands to the left of what the first proxy has.
			{peer, []string{"203.0.113.9, 192.0.2.7"}, "192.0.2.7"},
			{peer, []string{"203.0.113.9,192.0.2.7"}, "192.0.2.7"},
			{peer, []string{"203.0.113.9", "192.0.2.7"}, "192.0.2.7"},
			{peer, []string{"203.0.113.9, 192.0.2.7, 10.0.0.2"}, "192.0.2.7"},
			{peer, []string{"203.0.113.9, 192.0.2.7", "10.0.0.2"}, "192.0.2.7"},
			{peer, []string{"10.9.9.9, 192.0.2.7, 10.0.0.2"}, "192.0.2.7"},
			{peer, []string{"\"203.0.113.9, 192.0.2.7"}, "192.0.2.7"},
			{"192.0.2.7:80", []string{"203.0.113.9, 10.0.0.2"}, "192.0.2.7"},
			// All are proxies: it came from the first.
			{peer, []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
			// What is no address ends the walk.
			{peer, []string{"unknown"}, "10.0.0.1"},
			{peer, []string{"203.0.113.9, nonsense, 10.0.0.2"}, "10.0.0.2"},
			{peer, []string{"203.0.113.9, 192.0.2.7 x"}, "10.0.0.1"},
			{peer, []string{"[192.0.2.7]"}, "10.0.0.1"},
			{peer, []string{"192.0.2.7, ,", " "}, "192.0.2.7"}, // empty elements are none
			{peer, []string{", ,"}, "10.0.0.1"},
			// Bounds.
			{peer, []string{chain(15)}, "203.0.113.9"},
			{peer, []string{chain(16)}, "10.0.0.3"},
			{peer, []string{strings.Repeat("x", 1<<20) + ",192.0.2.7"}, "192.0.2.7"},
			{peer, []string{strings.Repeat(" ", 256-9) + "192.0.2.7"}, "192.0.2.7"},
			{peer, []string{strings.Repeat(" ", 257-9) + "192.0.2.7"}, "10.0.0.1"},
			{peer, []string{"192.0.2.7" + strings.Repeat(",", 1<<20)}, "192.0.2.7"},
		},
		"Forwarded": {
			{peer, []string{"for=192.0.2.7"}, "192.0.2.7"},
			{peer, []string{"For=192.0.2.7;proto=http;by=203.0.113.43"}, "192.0.2.7"},
			{peer, []string{`for="192.0.2.7:47011"`}, "192.0.2.7"},
			{peer, []string{`proto=https; for="[2001:db8:cafe::17]:4711"`}, "2001:db8:cafe::/64"},
			{peer, []string{`for=203.0.113.9, for=192.0.2.7`}, "192.0.2.7"},
			{peer, []string{`for=203.0.113.9, for=192.0.2.7, for=10.0.0.2`}, "192.0.2.7"},
			// A quote that the client has left open, and a host name that looks like an element.
			{peer, []string{`for="203.0.113.9, for=192.0.2.7`}, "192.0.2.7"},
			{peer, []string{`for=192.0.2.7;host="x, for=203.0.113.9"`}, "192.0.2.7"},
			{peer, []string{`host="x;for=203.0.113.9;y";for=192.0.2.7`}, "192.0.2.7"},
			{peer, []string{`host="x;for=203.0.113.9"`}, "10.0.0.1"},
			{peer, []string{`for=192.0.2.7;host="x\", for=203.0.113.9;x=\"y"`}, "10.0.0.1"},
			{peer, []string{`for=192.0.2.7;host="x\";for=203.0.113.9;x=\"y"`}, "10.0.0.1"},
			// Not an address, not told, or told twice.
			{peer, []string{"for=unknown"}, "10.0.0.1"},
			{peer, []string{"for=_hidden, for=10.0.0.2"}, "10.0.0.2"},
			{peer, []string{"proto=http"}, "10.0.0.1"},
			{peer, []string{"for"}, "10.0.0.1"},
			{peer, []string{`for="192.0.2.7`}, "10.0.0.1"},
			{peer, []string{`for=192.0.2.7"`}, "10.0.0.1"},
			{peer, []string{`for=192.0.2.7;x="y`}, "10.0.0.1"},
			{peer, []string{"for=192.0.2.7;for=203.0.113.9"}, "10.0.0.1"},
			{peer, []string{"192.0.2.7"}, "10.0.0.1"},
			{peer, []string{"x=" + strings.Repeat("x", 256) + ";for=192.0.2.7"}, "10.0.0.1"},
			{"192.0.2.7:80", []string{"for=203.0.113.9"}, "192.0.2.7"},
		},
	} {
		by := byAddress(t, &concordhttp.AddressOptions{Proxies: proxies, Header: strings.ToLower(header)})
		other := map[string]string{"Forwarded": "X-Forwarded-For", "X-Forwarded-For": "Forwarded"}[header]
		for _, c := range cases {
			r := from(c.peer, header, c.lines...)
			r.Header[other] = []string{"203.0.113.66", "for=203.0.113.66"} // not read
			if key, err := by(r); key != c.want || err != nil {
				t.Errorf("%s: %s %.80q: %q, %v; want %q", header, c.peer, c.lines, key, err, c.want)
			}
		}
	}
}

func TestByAddressOptions(t *testing.T) {
	_, err := concordhttp.ByAddress(&concordhttp.AddressOptions{
		Proxies: []netip.Prefix{{}}, Header: "X-Real-Ip", IPv4Bits: 33, IPv6Bits: 129,
	})
	for _, field := range []string{"Proxies", "Header", "IPv4Bits", "IPv6Bits"} {
		if err == nil || !errors.Is(err, fence.ErrInvalid) || !strings.Contains(err.Error(), field+" must") {
			t.Errorf("%s is missing in %v", field, err)
		}
	}
	mapped := netip.PrefixFrom(netip.MustParseAddr("::ffff:10.0.0.0"), 104)
	for _, o := range []concordhttp.AddressOptions{{IPv4Bits: 7}, {IPv6Bits: 15}, {Proxies: []netip.Prefix{mapped}}} {
		if _, err := concordhttp.ByAddress(&o); !errors.Is(err, fence.ErrInvalid) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	own := []netip.Prefix{proxies[0]}
	by := byAddress(t, &concordhttp.AddressOptions{Proxies: own})
	own[0] = netip.MustParsePrefix("192.0.2.0/24") // it was copied
	if key, _ := by(from("192.0.2.7:80", "X-Forwarded-For", "203.0.113.9")); key != "192.0.2.7" {
		t.Errorf("key %q", key)
	}
}

// FuzzByAddress: whatever a client writes to the left of what the proxy has written changes nothing, and
// whatever stands there the key is an address.
func FuzzByAddress(f *testing.F) {
	f.Add("203.0.113.9", "192.0.2.7", true)
	f.Add(`for="203.0.113.9`, "for=192.0.2.7", false)
	f.Add("\\\",;=[]%", "for=\"[::1%x]:0\"", true)
	simple := byAddress(f, &concordhttp.AddressOptions{Proxies: proxies})
	standard := byAddress(f, &concordhttp.AddressOptions{Proxies: proxies, Header: "Forwarded"})
	f.Fuzz(func(t *testing.T, client, end string, line bool) {
		for header, c := range map[string]struct {
			by      concordhttp.KeyFunc
			written string
		}{"X-Forwarded-For": {simple, "192.0.2.7"}, "Forwarded": {standard, `for="192.0.2.7:80";proto=http`}} {
			lines := []string{client + ", " + c.written}
			if line {
				lines = []string{client, c.written}
			}
			if key, err := c.by(from("10.0.0.1:80", header, lines...)); key != "192.0.2.7" || err != nil {
				t.Errorf("%s: %q is %q, %v", header, lines, key, err)
			}
			key, err := c.by(from("10.0.0.1:80", header, client, end))
			if err != nil {
				t.Error(err)
			}
			if _, bad := netip.ParsePrefix(key); bad != nil {
				if _, bad := netip.ParseAddr(key); bad != nil {
					t.Errorf("%s: %q is %q", header, end, key)
				}
			}
		}
	})
}
