package concordhttp

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/concord-go/concord/fence"
)

func TestHeaderGoesThere(t *testing.T) {
	for _, c := range []claim{
		{"orders/42", 33},
		{"a b%2F\x00\xff\r\nX: y;,\"", 1},
		{strings.Repeat("\xff", fence.MaxResource), 1<<63 - 1},
	} {
		h := http.Header{}
		c.write(h)
		for _, b := range []byte(h.Get(HeaderResource) + h.Get(HeaderToken)) {
			if b <= ' ' || b >= 0x7f {
				t.Errorf("%q is sent as %q", c.resource, h)
			}
		}
		if got, err := read(h); got != c || err != nil {
			t.Errorf("read(%v) = %v, %v", h, got, err)
		}
	}
}

func TestHeaderIsRefused(t *testing.T) {
	pair := func(token, resource string) http.Header {
		return http.Header{HeaderToken: {token}, HeaderResource: {resource}}
	}
	for what, h := range map[string]http.Header{
		"token alone":        {HeaderToken: {"33"}},
		"resource alone":     {HeaderResource: {"r"}},
		"empty token":        pair("", "r"),
		"zero":               pair("0", "r"),
		"zeros":              pair("00000000000000000000", "r"),
		"negative":           pair("-1", "r"),
		"plus":               pair("+33", "r"),
		"hexadecimal":        pair("0x21", "r"),
		"fraction":           pair("33.0", "r"),
		"exponent":           pair("1e3", "r"),
		"separator":          pair("1_000", "r"),
		"list":               pair("33, 34", "r"),
		"space inside":       pair("3 3", "r"),
		"other digits":       pair("٣٣", "r"),
		"2^63":               pair("9223372036854775808", "r"),
		"2^64":               pair("18446744073709551616", "r"),
		"huge":               pair(strings.Repeat("9", 1000), "r"),
		"long zeros":         pair(strings.Repeat("0", 1000)+"1", "r"),
		"without a sequence": pair("9007199254740992", "r"),
		"empty resource":     pair("33", ""),
		"bad escape":         pair("33", "%zz"),
		"long resource":      pair("33", strings.Repeat("r", fence.MaxResource+1)),
		"long when decoded":  pair("33", strings.Repeat("%72", fence.MaxResource+1)),
		"two tokens":         {HeaderToken: {"33", "34"}, HeaderResource: {"r"}},
		"the same twice":     {HeaderToken: {"33", "33"}, HeaderResource: {"r"}},
		"two resources":      {HeaderToken: {"33"}, HeaderResource: {"r", "r"}},
	} {
		if c, err := read(h); !errors.Is(err, fence.ErrInvalid) {
			t.Errorf("%s: %v, %v", what, c, err)
		}
	}
}

// FuzzHeader: whatever is read is valid and comes back the same when it is written.
func FuzzHeader(f *testing.F) {
	f.Add("33", "orders%2F42")
	f.Add("00000000000000000033", "a+b")
	f.Add("9223372036854775807", "%00%FF")
	f.Add("0", "")
	f.Fuzz(func(t *testing.T, token, resource string) {
		c, err := read(http.Header{HeaderToken: {token}, HeaderResource: {resource}})
		if err != nil {
			if !errors.Is(err, fence.ErrInvalid) {
				t.Fatalf("%v is not an InvalidError", err)
			}
			return
		}
		if err := fence.Validate(c.resource, c.token); err != nil {
			t.Fatal(err)
		}
		if strings.TrimLeft(token, "0") != c.token.String() {
			t.Fatalf("%q was read as %s", token, c.token)
		}
		h := http.Header{}
		c.write(h)
		if again, err := read(h); again != c || err != nil {
			t.Fatalf("%v came back as %v, %v", c, again, err)
		}
	})
}
