package concordhttp

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/ratelimit"
)

// LimitOptions configure [Limit]. The zero value of every field means its default; nil means all
// defaults. Limit copies them.
type LimitOptions struct {
	// Cost says how many units a request costs: 1 by default. What costs less than 1 passes
	// uncounted. What costs more than the smallest burst of the policy can never pass, and is refused
	// with 400.
	Cost func(*http.Request) int64

	// Shared is the key of all requests without one, which then share a limit: up to
	// [ratelimit.MaxKey] bytes. Without it they are refused. Requests whose key is malformed are
	// refused in any case.
	Shared string

	// Challenge is the WWW-Authenticate of the refusal of a request without a key, such as "Bearer",
	// which is then 401 and not 400.
	Challenge string

	// Quiet leaves RateLimit and RateLimit-Policy out of all answers, for limits that outsiders shall
	// not learn. A refusal has its Retry-After all the same.
	Quiet bool

	_ struct{}
}

// withDefaults returns a copy of o that is filled in, or every problem with it.
func (o *LimitOptions) withDefaults() (LimitOptions, error) {
	var opt LimitOptions
	if o != nil {
		opt = *o
	}
	var errs []error
	check := func(ok bool, field, format string, args ...any) {
		if !ok {
			errs = append(errs, &fence.InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)})
		}
	}
	check(len(opt.Shared) <= ratelimit.MaxKey, "Shared", "must have at most %d bytes", ratelimit.MaxKey)
	strange := func(r rune) bool { return r < ' ' || r > '~' }
	check(!strings.ContainsFunc(opt.Challenge, strange), "Challenge", "must be printable ASCII")
	return opt, errors.Join(errs...)
}
