package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"

	"github.com/concord-go/concord/membership"
)

// tries is how many upstreams a request is offered to.
const tries = 3

// spread is a transport that sends each request to one of the members of a group.
type spread struct {
	picker *membership.Picker
	base   http.RoundTripper
}

// RoundTrip implements [http.RoundTripper]. It sends the request elsewhere if an upstream cannot be
// connected to, because then it has not got it, and in no other case.
func (s *spread) RoundTrip(r *http.Request) (*http.Response, error) {
	var failed []string
	for {
		pick, err := s.picker.Pick(r.Context(), failed...)
		if err != nil {
			return nil, err
		}
		out := r.Clone(r.Context())
		out.URL.Host = pick.Member.Addr
		if r.Body != nil {
			out.Body = io.NopCloser(r.Body) // it may be needed again; ReverseProxy closes it
		}
		resp, err := s.base.RoundTrip(out)
		if err == nil {
			resp.Body = &counted{ReadCloser: resp.Body, done: sync.OnceFunc(pick.Done)}
			return resp, nil
		}
		pick.Done()
		if failed = append(failed, pick.Member.ID); !unconnected(err) || len(failed) == tries {
			return nil, err
		}
	}
}

func unconnected(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// counted is the body of an answer: the call is in flight until it has been read.
type counted struct {
	io.ReadCloser
	done func()
}

// Close implements [io.Closer].
func (c *counted) Close() error {
	defer c.done()
	return c.ReadCloser.Close()
}
