package retry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Retrier makes attempts at calls of one kind, such as those to one service. Make one with [New] and
// share it: what it learns and may spend is worth the more the more calls go through it. Any number
// of goroutines may use it.
//
// A Retrier that is used with [Hedge] starts goroutines, and [Retrier.Close] waits for them. With [Do]
// alone there is nothing to close.
type Retrier struct {
	name   string
	opt    Options
	bare   bool    // a first attempt that succeeds needs no timer and no clock
	timed  bool    // somebody wants to know how long calls take
	budget *Budget // nil without
	hooks  *Hooks  // filled

	latency latency
	hedges  *Budget // what share of calls may be hedged

	mu      sync.Mutex
	running int           // goroutines of Hedge
	closed  bool          //
	ended   chan struct{} // closed when closed and none is running
}

// New returns a Retrier. The name says what is called, in errors and hooks: 1 to 128 bytes. Options may
// be nil. All problems are reported at once, each as an [*InvalidError].
func New(name string, o *Options) (*Retrier, error) {
	opt, err := o.withDefaults(name)
	if err != nil {
		return nil, fmt.Errorf("retry: new %q: %w", name, err)
	}
	r := &Retrier{
		name:   name,
		opt:    opt,
		timed:  opt.Hooks != nil && opt.Hooks.Ended != nil,
		budget: opt.Budget,
		hooks:  opt.Hooks.filled(),
		hedges: newShare(opt.HedgeShare),
		ended:  make(chan struct{}),
	}
	r.bare = opt.AttemptTimeout == 0 && opt.TotalTimeout == 0 && !r.timed
	r.latency.quantile = opt.HedgeQuantile
	if r.budget == nil && !opt.NoBudget {
		if r.budget, err = NewBudget(name, nil); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Name returns the name.
func (r *Retrier) Name() string { return r.name }

// Budget returns the budget that bounds further attempts, nil with Options.NoBudget.
func (r *Retrier) Budget() *Budget { return r.budget }

// Close waits until all attempts have ended that [Hedge] did not wait for. From then on Hedge is refused
// with [ErrClosed]; Do goes on as before. Close may be called more than once. When ctx ends first, the
// error says how many attempts are left running.
func (r *Retrier) Close(ctx context.Context) error {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		r.endedLocked()
	}
	r.mu.Unlock()
	select {
	case <-r.ended:
		return nil
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running == 0 {
		return nil
	}
	return fmt.Errorf("retry: close %q: %d attempts still running: %w", r.name, r.running, context.Cause(ctx))
}

// enter counts a goroutine of Hedge, unless the Retrier is closed.
func (r *Retrier) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.running++
	return true
}

func (r *Retrier) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running--
	r.endedLocked()
}

func (r *Retrier) endedLocked() {
	if r.closed && r.running == 0 {
		close(r.ended)
	}
}

// healthy pays in for an answer that shows that the server works.
func (r *Retrier) healthy() {
	if r.budget != nil {
		r.budget.deposit()
	}
}

// classify says what the error of an attempt under ctx means.
func (r *Retrier) classify(ctx context.Context, err error) Class {
	class := ClassUnknown
	if r.opt.Classify != nil {
		class = r.opt.Classify(err)
	}
	if class == ClassUnknown || class >= classes {
		class = Classify(err)
	}
	// A client may put an error of its own in the place of that of the context.
	if (class == ClassTransient || class == ClassCanceled) && errors.Is(context.Cause(ctx), ErrAttemptTimeout) {
		return ClassTimeout
	}
	return class
}

// began is when a call begins, if anybody wants to know.
func (r *Retrier) began() time.Time {
	if !r.timed {
		return time.Time{}
	}
	return time.Now()
}

// bound limits ctx to the total time.
func (r *Retrier) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.opt.TotalTimeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, r.opt.TotalTimeout, ErrTotalTimeout)
}

// attemptContext is the context of an attempt of a call under ctx.
func (r *Retrier) attemptContext(ctx context.Context, number int) (context.Context, context.CancelFunc) {
	if number > 1 {
		ctx = WithAttempt(ctx, number)
	}
	if r.opt.AttemptTimeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, r.opt.AttemptTimeout, ErrAttemptTimeout)
}

// observe remembers how long an attempt took that was answered.
func (r *Retrier) observe(since time.Time) { r.latency.observe(time.Since(since)) }
