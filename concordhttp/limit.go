package concordhttp

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/ratelimit"
)

// Limit returns a middleware that lets a request pass if limits allows it for the key that by finds.
// limits stays the caller's. The package comment has the answers to the others.
//
// What is answered to a request that passes has RateLimit and RateLimit-Policy, unless the handler sets
// them itself; of several Limits one inside the other each adds its own. A handler that fails, or a client
// that leaves, does not give its units back.
//
// All problems are reported at once, each as a [*fence.InvalidError].
func Limit(limits *ratelimit.Limiter, by KeyFunc, o *LimitOptions) (func(http.Handler) http.Handler, error) {
	opt, err := o.withDefaults()
	errs := []error{err}
	need := func(ok bool, field string) {
		if !ok {
			errs = append(errs, &fence.InvalidError{Field: field, Problem: "must not be nil"})
		}
	}
	need(limits != nil, "limits")
	need(by != nil, "by")
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("concordhttp: limit: %w", err)
	}
	l := &limit{limits: limits, by: by, opt: opt}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if l.admit(w, r) {
				next.ServeHTTP(w, r)
			}
		})
	}, nil
}

// limit decides about requests.
type limit struct {
	limits *ratelimit.Limiter
	by     KeyFunc
	opt    LimitOptions
	told   atomic.Pointer[told]
}

// told is what RateLimit-Policy says of a policy.
type told struct {
	policy *ratelimit.Policy
	field  string
}

// admit decides whether r may pass, and answers it if not.
func (l *limit) admit(w http.ResponseWriter, r *http.Request) bool {
	cost := int64(1)
	if l.opt.Cost != nil {
		cost = l.opt.Cost(r)
	}
	if cost < 1 {
		return true
	}
	key, err := l.key(r)
	if err != nil {
		l.refuseKey(w, err)
		return false
	}
	policy := l.limits.Policy()
	d, err := l.limits.AllowN(r.Context(), key, cost)
	switch {
	case errors.Is(err, ratelimit.ErrInvalid):
		answer(w, http.StatusBadRequest, tooCostly)
		return false
	case err != nil: // the limiter was closed, or the client has gone
		w.Header().Set(headerRetryAfter, retryAfter(time.Second))
		answer(w, http.StatusServiceUnavailable, undecided)
		return false
	}
	if !l.opt.Quiet {
		l.tell(w.Header(), policy, &d)
	}
	if !d.Allowed {
		refuseRate(w, &d)
	}
	return d.Allowed
}

// key returns the key of r, which has 1 to MaxKey bytes.
func (l *limit) key(r *http.Request) (string, error) {
	key, err := l.by(r)
	switch {
	case errors.Is(err, ErrNoKey), err == nil && key == "":
		if l.opt.Shared == "" {
			return "", ErrNoKey
		}
		return l.opt.Shared, nil
	case err == nil && len(key) > ratelimit.MaxKey:
		return "", &KeyError{"key", fmt.Sprintf("must have 1 to %d bytes", ratelimit.MaxKey)}
	}
	return key, err
}

// tell adds the fields to those of other Limits.
func (l *limit) tell(h http.Header, p *ratelimit.Policy, d *ratelimit.Decision) {
	t := l.told.Load()
	if t == nil || t.policy != p {
		t = &told{p, policyField(p)}
		l.told.Store(t)
	}
	if t.field == "" {
		return // only shadows, which are not told
	}
	h.Add(headerPolicy, t.field)
	if field := rateField(d); field != "" {
		h.Add(headerRateLimit, field)
	}
}
