package concordhttp

import (
	"net/http"
	"net/url"

	"github.com/concord-go/concord/fence"
)

// The headers. They come together: a request has both or neither.
const (
	HeaderToken    = "Concord-Fence-Token"    // a decimal number
	HeaderResource = "Concord-Fence-Resource" // percent-encoded
)

// claim is a token and what it is a token of.
type claim struct {
	resource string
	token    fence.Token
}

// write puts c into h, in place of what is there.
func (c claim) write(h http.Header) {
	h.Set(HeaderToken, c.token.String())
	h.Set(HeaderResource, url.PathEscape(c.resource))
}

// carries reports whether h has anything of ours, be it good or not.
func carries(h http.Header) bool {
	return len(h.Values(HeaderToken)) > 0 || len(h.Values(HeaderResource)) > 0
}

// strip removes ours from h.
func strip(h http.Header) {
	h.Del(HeaderToken)
	h.Del(HeaderResource)
}

// read reads what write writes. Of two headers of one name neither is better than the other, also
// when they agree: somebody on the way has added one. Errors are [*fence.InvalidError].
func read(h http.Header) (claim, error) {
	token, err := single(h, HeaderToken)
	if err != nil {
		return claim{}, err
	}
	escaped, err := single(h, HeaderResource)
	if err != nil {
		return claim{}, err
	}
	var c claim
	if c.token, err = fence.ParseToken(token); err != nil {
		return claim{}, err
	}
	if c.resource, err = url.PathUnescape(escaped); err != nil {
		return claim{}, &fence.InvalidError{Field: HeaderResource, Problem: "must be percent-encoded"}
	}
	return c, fence.Validate(c.resource, c.token)
}

func single(h http.Header, name string) (string, error) {
	values := h.Values(name)
	if len(values) != 1 {
		return "", &fence.InvalidError{Field: name, Problem: "must stand once"}
	}
	return values[0], nil
}
