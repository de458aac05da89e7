package concordhttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/concord-go/concord/breaker"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/retry"
)

// RetryTransport makes further attempts at requests that failed. It may be used by several goroutines.
// The zero value is not usable; [Retry] makes one. It has nothing to close.
type RetryTransport struct {
	base    http.RoundTripper
	retrier *retry.Retrier
	opt     RetryOptions
}

// Retry returns a RetryTransport on base; nil means [http.DefaultTransport]. r says how many attempts
// are made, when, and at what price; it stays the caller's. All problems are reported at once, each as
// a [*fence.InvalidError].
func Retry(base http.RoundTripper, r *retry.Retrier, o *RetryOptions) (*RetryTransport, error) {
	opt, err := o.withDefaults()
	if r == nil {
		err = errors.Join(&fence.InvalidError{Field: "r", Problem: "must not be nil"}, err)
	}
	if err != nil {
		return nil, fmt.Errorf("concordhttp: retry: %w", err)
	}
	if base == nil {
		base = http.DefaultTransport
	}
	return &RetryTransport{base: base, retrier: r, opt: opt}, nil
}

// RoundTrip sends req, and again after an error of the base or one of RetryOptions.Statuses. Retry-After
// of such a response, in seconds or as a date, is heeded within the bound of the Retrier.
//
// There is one attempt if the body cannot be rewound, because it is there and GetBody is not, and for any
// other 5xx. A request that must not be repeated (RetryOptions.Repeatable) is sent again only
// if no connection was made for it, or if it was held back by a [BreakerTransport] or [ObeyTransport].
//
// If all attempts fail, the last decides: its response is returned like any other, and its error in a
// [*retry.ExhaustedError]. An error that no attempt was to follow is returned as it is. When the context of req
// ends, that is the error.
//
// The timeouts of the Retrier are over when the header of the response is there. Reading the body is bounded by
// the context of req alone, and what belongs to the attempt is free when the body is closed.
func (t *RetryTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, stop := context.WithCancel(req.Context())
	defer stop()
	s := &sending{t: t, req: req, stop: stop, rewinds: req.Body == nil || req.Body == http.NoBody || req.GetBody != nil}
	resp, err := retry.Do(ctx, t.retrier, s.attempt)
	if err == nil {
		return resp, nil
	}
	if !s.begun && req.Body != nil {
		_ = req.Body.Close() // a RoundTripper does, whatever happens
	}
	switch {
	case req.Context().Err() != nil:
		s.forget()
	case s.failed != nil:
		return s.failed, nil
	case s.final != nil:
		return nil, s.final
	}
	return nil, &gaveUp{err}
}

// CloseIdleConnections is passed on to the base, if that knows it.
func (t *RetryTransport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// sending is one request with all its attempts.
type sending struct {
	t       *RetryTransport
	req     *http.Request
	rewinds bool
	stop    func() // ends the context of the call, which no Options.Classify can overrule
	begun   bool
	failed  *http.Response // of the last attempt, if that failed by its status
	final   error          // that of the last attempt, if it stopped the call
}

// attempt sends the request once.
func (s *sending) attempt(ctx context.Context, a retry.Attempt) (*http.Response, error) {
	s.forget()
	out, again, err := s.prepare(ctx, a)
	if err != nil {
		return nil, s.over(err)
	}
	sent := &progress{}
	life := newLifetime(ctx, s.req.Context())
	resp, err := s.t.base.RoundTrip(out.WithContext(sent.watch(life.ctx)))
	if err == nil {
		err = life.extend(resp)
	} else {
		life.end()
	}
	if err != nil {
		return nil, s.broken(err, sent.none(), again)
	}
	resp.Request = s.req
	return s.judge(resp, again)
}

// prepare returns the request of an attempt, and whether it may be followed by another one after it may
// have been executed.
func (s *sending) prepare(ctx context.Context, a retry.Attempt) (out *http.Request, again bool, err error) {
	out = s.req.WithContext(ctx)
	if s.begun && s.req.GetBody != nil && s.req.Body != nil && s.req.Body != http.NoBody {
		if out.Body, err = s.req.GetBody(); err != nil {
			return nil, false, fmt.Errorf("concordhttp: retry: rewind the body: %w", err)
		}
	}
	s.begun = true
	add := func(name, value string) {
		if out.Header = out.Header.Clone(); out.Header == nil { // the caller's stays as it is
			out.Header = make(http.Header)
		}
		out.Header.Set(name, value)
	}
	if n := retry.AttemptFrom(ctx); n > 1 {
		add(s.t.opt.AttemptHeader, strconv.Itoa(n))
	}
	keyed := s.req.Method == http.MethodPost || s.req.Method == http.MethodPatch
	if s.t.opt.Keys && keyed && s.req.Header.Get(headerKey) == "" {
		add(headerKey, a.Key())
	}
	return out, s.t.opt.Repeatable(out), nil
}

// broken is the error of an attempt without a response.
func (s *sending) broken(err error, unsent, again bool) error {
	held := errors.Is(err, breaker.ErrRejected) || errors.Is(err, ErrHeldBack)
	unsent = unsent || retry.Classify(err) == retry.ClassUnsent
	if unsent && !held && retry.Classify(err) != retry.ClassCanceled {
		err = retry.Mark(err, retry.ClassUnsent)
	}
	if !s.rewinds || !again && !unsent && !held || mistrusted(err) {
		return s.over(err)
	}
	return err
}

// judge returns the response, or an error if it is a failure.
func (s *sending) judge(resp *http.Response, again bool) (*http.Response, error) {
	listed := slices.Contains(s.t.opt.Statuses, resp.StatusCode)
	if !listed && resp.StatusCode < 500 {
		return resp, nil
	}
	s.failed = resp
	err := statusError(resp)
	if !listed || !again || !s.rewinds {
		return nil, s.over(err)
	}
	keep(resp)
	return nil, err
}

// over lets no attempt follow.
func (s *sending) over(err error) error {
	s.final = err
	s.stop()
	return err
}

// forget drops the response of an attempt that was not the last.
func (s *sending) forget() {
	if s.failed != nil {
		_ = s.failed.Body.Close() // nobody waits for it
		s.failed = nil
	}
}
