package retry

import (
	"context"
	"time"
)

// Hooks observe a [Retrier]. Every func may be nil. They are called outside locks, by several goroutines,
// on the path of the call: they must be quick. A call whose first attempt succeeds calls none but Ended.
type Hooks struct {
	// Failed reports that an attempt failed: Attempt, Class and Err are set. What follows is told by
	// Scheduled or GaveUp, or by nothing while another attempt is still under way.
	Failed func(context.Context, Info)
	// Scheduled reports that a failure is followed by another attempt: Attempt is its number, Delay how
	// long it waits, Class and Err are those of the failure.
	Scheduled func(context.Context, Info)
	// Hedged reports an attempt that begins beside one that is slow: Attempt is its number, Delay how
	// long the other one had.
	Hedged func(context.Context, Info)
	// Recovered reports a success that was not the first attempt's: Attempt is its number, Hedge says
	// whether it began as a hedge.
	Recovered func(context.Context, Info)
	// GaveUp reports the end of a call without success: Attempt is how many attempts were made, Reason why
	// there was no other, Class that of the last failure, Err the [*ExhaustedError].
	GaveUp func(context.Context, Info)
	// Ended reports the end of every call, except by a panic: Attempt is how many attempts were begun, Took how
	// long the call took with all of them, Reason and Err are those of GaveUp, or zero after a success. If it is
	// set every call is timed, which costs more than all the rest of one that goes well at once.
	Ended func(context.Context, Info)
}

// Info is what hooks are told. Fields that do not apply are zero.
type Info struct {
	Name    string // of the Retrier
	Attempt int    // its number
	Class   Class
	Delay   time.Duration
	Took    time.Duration
	Hedge   bool
	Reason  Reason
	Err     error
}

// events returns the fields of h, in one order.
func (h *Hooks) events() [6]*func(context.Context, Info) {
	return [...]*func(context.Context, Info){&h.Failed, &h.Scheduled, &h.Hedged, &h.Recovered, &h.GaveUp, &h.Ended}
}

// JoinHooks returns hooks that call each of the given ones in order. nil entries are skipped.
func JoinHooks(hooks ...*Hooks) *Hooks {
	var joined Hooks
	for n, event := range joined.events() {
		var all []func(context.Context, Info)
		for _, h := range hooks {
			if h != nil && *h.events()[n] != nil {
				all = append(all, *h.events()[n])
			}
		}
		if all == nil {
			continue // what nobody observes stays free
		}
		*event = func(ctx context.Context, i Info) {
			for _, f := range all {
				f(ctx, i)
			}
		}
	}
	return &joined
}

// filled returns a copy in which no func is nil.
func (h *Hooks) filled() *Hooks {
	var f Hooks
	if h != nil {
		f = *h
	}
	for _, event := range f.events() {
		if *event == nil {
			*event = func(context.Context, Info) {}
		}
	}
	return &f
}
