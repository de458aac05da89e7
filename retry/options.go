package retry

import (
	"errors"
	"fmt"
	"time"
)

const (
	// DefaultMaxAttempts is how many attempts a call has at most, unless Options.MaxAttempts says otherwise.
	DefaultMaxAttempts = 3

	// DefaultMaxRetryAfter bounds what a server may ask for, unless Options.MaxRetryAfter says otherwise.
	DefaultMaxRetryAfter = 30 * time.Second

	// DefaultHedgeQuantile is the share of attempts that are left to end without a hedge, unless
	// Options.HedgeQuantile says otherwise.
	DefaultHedgeQuantile = 0.95

	// DefaultHedgeShare is the share of calls that may be hedged, unless Options.HedgeShare says otherwise.
	DefaultHedgeShare = 0.05

	// DefaultHedgeDelay is the least time before a hedge, unless Options.HedgeDelay says otherwise.
	DefaultHedgeDelay = time.Millisecond

	maxName     = 128
	maxAttempts = 100
)

// Options configure a [Retrier]. The zero value of every field means its default; nil means all
// defaults. New copies them.
type Options struct {
	// MaxAttempts is how many attempts a call has at most, the first one and hedges included: 1 to
	// 100, default [DefaultMaxAttempts].
	MaxAttempts int

	// AttemptTimeout bounds each attempt: its context ends then, with the cause [ErrAttemptTimeout].
	// Default 0, no bound but that of the call. A call with one takes a timer for each attempt.
	AttemptTimeout time.Duration

	// TotalTimeout bounds the call with all its attempts and delays: its context ends then, with the
	// cause [ErrTotalTimeout]. Default 0, no bound but the context of the caller.
	TotalTimeout time.Duration

	// Backoff says how long to wait before an attempt; nil means [FullJitter] of 100 ms up to 10 s.
	Backoff Backoff

	// MaxRetryAfter is the longest time that an error may ask for with its RetryAfter method; what is
	// longer is cut. Default [DefaultMaxRetryAfter].
	MaxRetryAfter time.Duration

	// Classify says what the error of an attempt means. Where it is nil or returns
	// [ClassUnknown], the func [Classify] decides.
	Classify func(error) Class

	// OnlyUnsent makes a further attempt only after a failure of [ClassUnsent]: for calls that must not be
	// executed twice and carry no key by which the server could tell.
	OnlyUnsent bool

	// RetryNested makes all attempts also within a second or later attempt of an outer call, which
	// multiplies them. See the package documentation.
	RetryNested bool

	// Budget bounds further attempts and hedges; nil means one of its own, of the Retrier's name and with
	// all defaults. Retriers that call the same server share one.
	Budget *Budget

	// NoBudget lifts that bound. A short overload may then never end.
	NoBudget bool

	// HedgeQuantile is how slow an attempt must be to be hedged: slower than this share of recent
	// ones, 0.5 to 0.999, default [DefaultHedgeQuantile].
	HedgeQuantile float64

	// HedgeShare is the share of the calls of [Hedge] that may be hedged: 0.001 to 1, default
	// [DefaultHedgeShare]. Up to ten hedges that were not needed are saved for later.
	HedgeShare float64

	// HedgeDelay is the least time before a hedge, however fast recent attempts were: default
	// [DefaultHedgeDelay].
	HedgeDelay time.Duration

	// Hooks observe the Retrier. nil is silent; see [LogHooks].
	Hooks *Hooks

	_ struct{}
}

// limits collects what is wrong with options.
type limits []error

func (l *limits) check(ok bool, field, format string, args ...any) {
	if !ok {
		*l = append(*l, &InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
}

// withDefaults returns a copy of o that is filled in, or every problem with it.
func (o *Options) withDefaults(name string) (Options, error) {
	var opt Options
	if o != nil {
		opt = *o
	}
	if opt.MaxAttempts == 0 {
		opt.MaxAttempts = DefaultMaxAttempts
	}
	if opt.Backoff == nil {
		opt.Backoff = FullJitter(100*time.Millisecond, 10*time.Second)
	}
	if opt.MaxRetryAfter == 0 {
		opt.MaxRetryAfter = DefaultMaxRetryAfter
	}
	if opt.HedgeQuantile == 0 {
		opt.HedgeQuantile = DefaultHedgeQuantile
	}
	if opt.HedgeShare == 0 {
		opt.HedgeShare = DefaultHedgeShare
	}
	if opt.HedgeDelay == 0 {
		opt.HedgeDelay = DefaultHedgeDelay
	}

	var l limits
	l.check(name != "" && len(name) <= maxName, "name", "must have 1 to %d bytes", maxName)
	l.check(opt.MaxAttempts >= 1 && opt.MaxAttempts <= maxAttempts, "MaxAttempts", "must be 0 to %d", maxAttempts)
	l.check(opt.AttemptTimeout >= 0, "AttemptTimeout", "must not be negative")
	l.check(opt.TotalTimeout >= 0, "TotalTimeout", "must not be negative")
	l.check(opt.MaxRetryAfter > 0, "MaxRetryAfter", "must not be negative")
	l.check(opt.Budget == nil || !opt.NoBudget, "Budget", "must be nil with NoBudget")
	l.check(opt.HedgeQuantile >= 0.5 && opt.HedgeQuantile <= 0.999, "HedgeQuantile", "must be 0 or 0.5 to 0.999")
	l.check(opt.HedgeShare >= 0.001 && opt.HedgeShare <= 1, "HedgeShare", "must be 0 or 0.001 to 1")
	l.check(opt.HedgeDelay > 0, "HedgeDelay", "must not be negative")
	return opt, errors.Join(l...)
}
