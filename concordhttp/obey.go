package concordhttp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// ErrHeldBack is matched by every [*HeldBackError].
var ErrHeldBack = errors.New("held back by a rate limit")

// HeldBackError reports a request that was not sent: its server has said not to send any for a time that
// is longer than its context lasts. It matches [ErrHeldBack].
type HeldBackError struct {
	Origin string        // scheme, host and port
	wait   time.Duration // when the error was made
}

// Error names the origin and the time.
func (e *HeldBackError) Error() string {
	return fmt.Sprintf("concordhttp: %s: %s for %v", e.Origin, ErrHeldBack, e.wait.Round(time.Millisecond))
}

// Is matches [ErrHeldBack].
func (e *HeldBackError) Is(target error) bool { return target == ErrHeldBack }

// RetryAfter returns how long the server did not want to have requests when this one was to be sent.
func (e *HeldBackError) RetryAfter() time.Duration { return e.wait }

// ObeyTransport holds requests back for as long as their server has said that it will not serve them.
// It may be used by several goroutines. The zero value is not usable; [Obey] makes one. It has nothing
// to close.
type ObeyTransport struct {
	base  http.RoundTripper
	opt   ObeyOptions
	holds holds
}

// Obey returns an ObeyTransport on base; nil means [http.DefaultTransport].
//
// Retry-After of a 429 or 503, in seconds or as a date, holds back further requests to the same origin,
// and partition if there are any. Without it RateLimit does, of any response that does not come from a
// cache: for the t of a policy that has r=0 left. What is malformed is ignored. The response itself is
// returned as it is: it is not sent again.
//
// The error is a [*fence.InvalidError] about the options.
func Obey(base http.RoundTripper, o *ObeyOptions) (*ObeyTransport, error) {
	opt, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("concordhttp: obey: %w", err)
	}
	if base == nil {
		base = http.DefaultTransport
	}
	return &ObeyTransport{base: base, opt: opt, holds: holds{all: make(map[origin]time.Time)}}, nil
}

// RoundTrip sends req when its server may have it. It waits until then, and by chance up to a tenth and
// 100 ms longer, so that not all who wait come at once. If the deadline of the context is before, the
// error is a [*HeldBackError] at once; if the context ends meanwhile, it is that of the context. In both
// cases nothing was sent.
func (t *ObeyTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	at := origin{originOf(req.URL), t.opt.Partition(req)}
	if err := t.wait(req.Context(), at); err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // a RoundTripper does, whatever happens
		}
		return nil, err
	}
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		return resp, err
	}
	now := time.Now()
	if d := min(heldFor(resp, now), t.opt.MaxHold); d > 0 {
		t.holds.extend(at, now, now.Add(d))
	}
	return resp, nil
}

// CloseIdleConnections is passed on to the base, if that knows it.
func (t *ObeyTransport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// wait returns when a request may be sent. Meanwhile others may have been told to wait longer.
func (t *ObeyTransport) wait(ctx context.Context, at origin) error {
	for {
		d := t.holds.left(at, time.Now())
		if d <= 0 {
			return nil
		}
		spare := maxHold
		if deadline, ok := ctx.Deadline(); ok {
			spare = time.Until(deadline) - d
		}
		if t.opt.NoWait || spare <= 0 {
			return &HeldBackError{Origin: at.server, wait: d}
		}
		timer := time.NewTimer(d + min(jitter(d), spare/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// jitter returns a random time, up to a tenth of d and some more.
func jitter(d time.Duration) time.Duration {
	return rand.N(d/10 + 100*time.Millisecond) //nolint:gosec // it spreads requests and hides nothing
}
