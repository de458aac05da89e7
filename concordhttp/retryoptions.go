package concordhttp

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/concord-go/concord/fence"
)

// HeaderAttempt says which attempt a request is, from the second on, unless RetryOptions.AttemptHeader has
// another name for it.
const HeaderAttempt = "Concord-Attempt"

const (
	headerKey     = "Idempotency-Key"
	maxHeaderName = 64 // bytes
)

// RetryOptions configure [Retry]. The zero value of every field means its default; nil means all
// defaults. Retry copies them.
type RetryOptions struct {
	// Statuses are those that another attempt may change: 400 to 599, default 429, 502, 503 and 504.
	Statuses []int

	// Repeatable says which requests may be executed more than once. The default is those with a method that RFC
	// 9110 calls idempotent (GET, HEAD, OPTIONS, TRACE, PUT, DELETE) or with an Idempotency-Key. A
	// request that is not is sent again only if it is known that nothing of it was sent.
	Repeatable func(*http.Request) bool

	// Keys gives every POST and PATCH that has none an Idempotency-Key: retry.Attempt.Key, the same in
	// all attempts. It is for servers that heed it; to others it makes two executions out of one wish.
	Keys bool

	// AttemptHeader is the name of the header that says which attempt a request is: letters, digits and hyphens,
	// up to 64 bytes, default [HeaderAttempt].
	AttemptHeader string

	_ struct{}
}

// withDefaults returns a copy of o that is filled in, or every problem with it.
func (o *RetryOptions) withDefaults() (RetryOptions, error) {
	var opt RetryOptions
	if o != nil {
		opt = *o
	}
	opt.Statuses = slices.Clone(opt.Statuses)
	if len(opt.Statuses) == 0 {
		opt.Statuses = []int{
			http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
		}
	}
	if opt.Repeatable == nil {
		opt.Repeatable = repeatable
	}
	if opt.AttemptHeader == "" {
		opt.AttemptHeader = HeaderAttempt
	}
	var errs []error
	for _, status := range opt.Statuses {
		if status < 400 || status > 599 {
			errs = append(errs, &fence.InvalidError{Field: "Statuses", Problem: fmt.Sprintf("must be 400 to 599, not %d", status)})
		}
	}
	if !headerName(opt.AttemptHeader) {
		errs = append(errs, &fence.InvalidError{Field: "AttemptHeader", Problem: fmt.Sprintf("must be at most %d letters, digits and hyphens", maxHeaderName)})
	}
	return opt, errors.Join(errs...)
}

// repeatable is the default of RetryOptions.Repeatable.
func repeatable(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return req.Header.Get(headerKey) != ""
}

// headerName reports whether name may be the name of a header, in the part of RFC 9110's alphabet that
// nobody trips over.
func headerName(name string) bool {
	strange := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
	}
	return name != "" && len(name) <= maxHeaderName && !strings.ContainsFunc(name, strange)
}
