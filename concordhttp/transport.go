package concordhttp

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/concord-go/concord/fence"
)

// Transport sends the token of a request's context with the request. It may be used by several
// goroutines. The zero value is not usable; [NewTransport] makes one.
type Transport struct {
	base    http.RoundTripper
	origins []string
}

// NewTransport returns a Transport on base; nil means [http.DefaultTransport]. origins, at least
// one, are the servers that may get tokens, such as "https://ledger.internal:8443". All that is wrong
// with them is reported at once, each as a [*fence.InvalidError].
func NewTransport(base http.RoundTripper, origins ...string) (*Transport, error) {
	if base == nil {
		base = http.DefaultTransport
	}
	t := &Transport{base: base}
	var errs []error
	if len(origins) == 0 {
		errs = append(errs, &fence.InvalidError{Field: "origins", Problem: "must be at least one"})
	}
	for _, s := range origins {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || s != u.Scheme+"://"+u.Host {
			errs = append(errs, &fence.InvalidError{Field: "origins", Problem: fmt.Sprintf("must be http or https with a host and nothing else, not %q", s)})
			continue
		}
		t.origins = append(t.origins, originOf(u))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("concordhttp: new transport: %w", err)
	}
	return t, nil
}

// RoundTrip sends req. If its context has a token ([WithToken]) and its origin may get one, the
// token goes with it. Another origin is an [*OriginError] and nothing is sent, neither with the token
// nor, unfenced, without it; so a redirect cannot carry the token away. A token that no lock
// issues is a [*fence.InvalidError].
//
// Headers of ours that were set by hand, or came with a request that is passed on, are not sent.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	c, fenced := req.Context().Value(outgoing{}).(claim)
	if fenced {
		if err := t.check(req.URL, c); err != nil {
			if req.Body != nil {
				_ = req.Body.Close() // a RoundTripper does, whatever happens
			}
			return nil, err
		}
	}
	if fenced || carries(req.Header) {
		req = req.Clone(req.Context()) // the caller's stays as it is
		if req.Header == nil {
			req.Header = make(http.Header)
		}
		strip(req.Header)
	}
	if fenced {
		c.write(req.Header)
	}
	return t.base.RoundTrip(req)
}

// CloseIdleConnections is passed on to the base, if that knows it.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (t *Transport) check(u *url.URL, c claim) error {
	if err := fence.Validate(c.resource, c.token); err != nil {
		return fmt.Errorf("concordhttp: %w", err)
	}
	if o := originOf(u); !slices.Contains(t.origins, o) {
		return &OriginError{Origin: o}
	}
	return nil
}

// originOf returns scheme, host and port in one spelling.
func originOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}
