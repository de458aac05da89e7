package concordhttp

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/concord-go/concord/breaker"
	"github.com/concord-go/concord/fence"
)

// BreakerTransport stops requests to servers that fail. It may be used by several goroutines. The zero
// value is not usable; [Breaker] makes one. It has nothing to close.
type BreakerTransport struct {
	base  http.RoundTripper
	group *breaker.Group[string]
	opt   BreakerOptions
}

// Breaker returns a BreakerTransport on base; nil means [http.DefaultTransport]. group has a breaker for
// each origin and stays the caller's. A group that is nil is a [*fence.InvalidError].
func Breaker(base http.RoundTripper, group *breaker.Group[string], o *BreakerOptions) (*BreakerTransport, error) {
	if group == nil {
		return nil, fmt.Errorf("concordhttp: breaker: %w", &fence.InvalidError{Field: "group", Problem: "must not be nil"})
	}
	if base == nil {
		base = http.DefaultTransport
	}
	return &BreakerTransport{base: base, group: group, opt: o.withDefaults()}, nil
}

// RoundTrip sends req if its breaker lets it through; else the error is a [*breaker.RejectedError] and
// nothing was sent. What became of it is reported when the header of the response is there, unless
// BreakerOptions.WholeBody is set. An error of the base is judged by breaker.Options.Classify; that of
// a caller who has cancelled is not counted.
func (t *BreakerTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	permit, err := t.group.Get(t.opt.Key(req)).Acquire(req.Context())
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // a RoundTripper does, whatever happens
		}
		return nil, err
	}
	returned := false
	defer func() {
		if !returned { // a panic, of Outcome too
			permit.Report(breaker.Failure)
		}
	}()
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		returned = true
		permit.Done(err)
		return resp, err
	}
	outcome := t.opt.Outcome(resp)
	returned = true
	if outcome == breaker.Success && t.opt.WholeBody {
		watch(resp, &permit)
	} else {
		permit.Report(outcome)
	}
	return resp, nil
}

// CloseIdleConnections is passed on to the base, if that knows it.
func (t *BreakerTransport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// watch reports how the body of a success ends.
func watch(resp *http.Response, permit *breaker.Permit) {
	body := &watchedBody{ReadCloser: resp.Body, permit: permit}
	resp.Body = body
	if w, ok := body.ReadCloser.(io.Writer); ok { // of a connection that has switched protocols
		resp.Body = struct {
			io.ReadCloser
			io.Writer
		}{body, w}
	}
}

// watchedBody reports its end; what comes after that changes nothing.
type watchedBody struct {
	io.ReadCloser
	permit *breaker.Permit
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		b.permit.Report(breaker.Success)
	case err != nil:
		b.permit.Done(err)
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.permit.Report(breaker.Success)
	return b.ReadCloser.Close()
}
