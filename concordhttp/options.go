package concordhttp

import (
	"errors"
	"time"

	"github.com/concord-go/concord/fence"
)

const (
	defaultTimeout    = 2 * time.Second
	defaultRetryAfter = time.Second
)

// FenceOptions configure a [Fence]. The zero value of every field means its default; nil means all
// defaults. NewFence copies them.
type FenceOptions struct {
	// Optional lets requests without a token pass. They run unfenced: whoever leaves the token out is
	// not kept out. A token that is there is checked all the same.
	Optional bool

	// Serialize runs one fenced request of a resource at a time in this process. A newer token is
	// then raised only when the handler of an older one has returned, so if all writes of the
	// resource come through this one Fence, check and write are one step. It does nothing between
	// processes, and nothing for a handler that goes on after it has returned, such as
	// [http.TimeoutHandler]; put that around the Fence and not inside.
	Serialize bool

	// Timeout bounds the raise of the mark, with Serialize the wait for the turn as well: 1 ms to
	// 1 min, default 2 s. Then the answer is 503.
	Timeout time.Duration

	// RetryAfter is what a 503 tells the client to wait: 1 s to 1 h, rounded up to seconds, default
	// 1 s.
	RetryAfter time.Duration

	// Hooks observe the Fence. nil logs refusals and failures to [log/slog.Default] (see
	// [LogHooks]); an empty Hooks is silent.
	Hooks *Hooks

	_ struct{}
}

// withDefaults returns a copy of o that is filled in, or every problem with it.
func (o *FenceOptions) withDefaults() (FenceOptions, error) {
	var opt FenceOptions
	if o != nil {
		opt = *o
	}
	if opt.Timeout == 0 {
		opt.Timeout = defaultTimeout
	}
	if opt.RetryAfter == 0 {
		opt.RetryAfter = defaultRetryAfter
	}
	if opt.Hooks == nil {
		opt.Hooks = LogHooks(nil)
	}
	opt.Hooks = JoinHooks(opt.Hooks)
	var errs []error
	if opt.Timeout < time.Millisecond || opt.Timeout > time.Minute {
		errs = append(errs, &fence.InvalidError{Field: "Timeout", Problem: "must be 1ms to 1m"})
	}
	if opt.RetryAfter < time.Second || opt.RetryAfter > time.Hour {
		errs = append(errs, &fence.InvalidError{Field: "RetryAfter", Problem: "must be 1s to 1h"})
	}
	return opt, errors.Join(errs...)
}
