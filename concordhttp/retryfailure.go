package concordhttp

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/concord-go/concord/retry"
)

// failedStatus is a response as the error of an attempt.
type failedStatus struct{ status string }

// Error names the status.
func (e *failedStatus) Error() string { return "answered " + e.status }

// comeBack is one that says when to come back.
type comeBack struct {
	failedStatus
	after time.Duration
}

// RetryAfter is what a Retrier waits for.
func (e *comeBack) RetryAfter() time.Duration { return e.after }

// statusError says what the status of a response means.
func statusError(resp *http.Response) error {
	is := failedStatus{status: resp.Status}
	if is.status == "" { // of a base that fills in the number only
		is.status = http.StatusText(resp.StatusCode)
	}
	if after, ok := parseRetryAfter(resp.Header, time.Now()); ok {
		return &comeBack{is, after}
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
		return retry.Mark(&is, retry.ClassThrottled)
	case http.StatusGatewayTimeout:
		return retry.Mark(&is, retry.ClassTimeout)
	}
	return &is
}

// gaveUp is the end of a request. Callers of net/http ask errors whether they are timeouts, and do not
// look into them for the answer.
type gaveUp struct{ error }

func (e *gaveUp) Unwrap() error { return e.error }

func (e *gaveUp) Timeout() bool {
	var late interface{ Timeout() bool }
	return errors.Is(e.error, context.DeadlineExceeded) || errors.As(e.error, &late) && late.Timeout()
}

// mistrusted reports whether a server has shown a certificate that is not good enough: it will have no
// other in a second.
func mistrusted(err error) bool {
	var bad *tls.CertificateVerificationError
	return errors.As(err, &bad)
}

// progress notes how far an attempt has come.
type progress struct{ asked, connected atomic.Bool }

func (p *progress) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { p.asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { p.connected.Store(true) },
		// Of a base that uses a connection of its own for something else as well.
		WroteHeaders: func() { p.connected.Store(true) },
	})
}

// none reports whether it is known that nothing was sent. A base that tells nothing leaves it unknown.
func (p *progress) none() bool { return p.asked.Load() && !p.connected.Load() }
