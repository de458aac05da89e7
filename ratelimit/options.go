package ratelimit

import (
	"errors"
	"fmt"
	"time"
)

const (
	// DefaultTimeout is how long a decision may take, unless Options.Timeout says otherwise.
	DefaultTimeout = 200 * time.Millisecond

	// DefaultShare is the part of a limit that a process has while the engine does not answer, unless
	// Options.Share says otherwise.
	DefaultShare = 0.1
)

// Options configure a [Limiter]. The zero value of every field means its default; nil means all
// defaults. New copies them.
type Options struct {
	// Timeout is how long the engine is waited for. After that Limit.Down decides. 1 ms to 10 s,
	// default [DefaultTimeout].
	Timeout time.Duration

	// Share is the part of each limit that this process allows by itself while the engine does not
	// answer, where Limit.Down is [Share]: above 0 to 1, default [DefaultShare]. One part of as many
	// as there are processes keeps the limit as a whole.
	Share float64

	// Allowance lets this process take units of hot keys ahead. nil asks the engine for every call, but
	// on engines that are too slow for that, which then have all defaults. The memory backend needs
	// none and has none.
	Allowance *Allowance

	// Hooks observe the limiter. nil logs what goes wrong to slog.Default (see [LogHooks]); an empty
	// Hooks is silent.
	Hooks *Hooks

	_ struct{}
}

// withDefaults returns a copy of o that is filled in, or every problem with it.
func (o *Options) withDefaults() (Options, error) {
	var opt Options
	if o != nil {
		opt = *o
	}
	if opt.Timeout == 0 {
		opt.Timeout = DefaultTimeout
	}
	if opt.Share == 0 {
		opt.Share = DefaultShare
	}
	var errs []error
	check := func(ok bool, field, format string, args ...any) {
		if !ok {
			errs = append(errs, &InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)})
		}
	}
	if opt.Allowance != nil {
		a, problems := opt.Allowance.withDefaults()
		opt.Allowance = &a
		errs = append(errs, problems...)
	}
	check(opt.Timeout >= time.Millisecond && opt.Timeout <= 10*time.Second, "Timeout", "must be 1ms to 10s")
	check(opt.Share > 0 && opt.Share <= 1, "Share", "must be above 0 to 1")
	return opt, errors.Join(errs...)
}
