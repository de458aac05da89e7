package retry

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// course is what is known of one call that did not succeed at once.
type course struct {
	r       *Retrier
	ctx     context.Context // of the call, within its total time
	attempt Attempt         // the latest one that was begun
	begun   int             // how many were
	since   time.Time       // when the call began, if it is timed
	delays  []time.Duration
	last    error // of an attempt
	class   Class
}

// begin counts the next attempt and returns it.
func (c *course) begin() Attempt {
	c.begun++
	c.attempt.Number = c.begun
	return c.attempt
}

// failed takes note of a failure of an attempt under ctx, and reports whether another may be made as
// far as its class decides.
func (c *course) failed(ctx context.Context, number int, err error) (again bool) {
	c.last, c.class = err, c.r.classify(ctx, err)
	if c.class == ClassPermanent {
		c.r.healthy()
	}
	c.r.hooks.Failed(c.ctx, Info{Name: c.r.name, Attempt: number, Class: c.class, Err: err})
	return c.class < ClassPermanent
}

// next decides, after the last failure, on the delay before another attempt, and pays for it; or it
// returns why there is none.
func (c *course) next() (time.Duration, error) {
	if c.ctx.Err() != nil {
		return 0, c.over()
	}
	switch c.class {
	case ClassPermanent:
		return 0, c.giveUp(PermanentFailure, nil, 0)
	case ClassExhausted:
		hint, _ := retryAfter(c.last)
		return 0, c.giveUp(InnerExhausted, nil, hint)
	case ClassCanceled:
		return 0, c.giveUp(Canceled, nil, 0)
	}
	delay := c.delay()
	switch {
	case c.r.opt.OnlyUnsent && c.class != ClassUnsent:
		return 0, c.giveUp(NotRepeatable, nil, 0)
	case c.nested():
		return 0, c.giveUp(NestedAttempt, nil, delay)
	case c.begun >= c.r.opt.MaxAttempts:
		return 0, c.giveUp(AttemptsExhausted, nil, delay)
	case !c.fits(delay):
		return 0, c.giveUp(DeadlineTooNear, nil, delay)
	}
	if c.r.budget != nil {
		if err := c.r.budget.take(c.r.budget.costs[c.class]); err != nil {
			return 0, c.giveUp(BudgetExhausted, err, delay)
		}
	}
	c.r.hooks.Scheduled(c.ctx, Info{Name: c.r.name, Attempt: c.begun + 1, Class: c.class, Delay: delay, Err: c.last})
	return delay, nil
}

// delay is how long to wait after the last failure: what the error asks for, within bounds and jittered
// upwards so that those who were told the same do not come back together, or else the backoff.
func (c *course) delay() time.Duration {
	if hint, ok := retryAfter(c.last); ok && hint > 0 {
		hint = min(hint, c.r.opt.MaxRetryAfter)
		return hint + upTo(hint/10, rand.Int64N)
	}
	var previous time.Duration
	if n := len(c.delays); n > 0 {
		previous = c.delays[n-1]
	}
	return max(0, c.r.opt.Backoff(c.begun, previous, rand.Int64N))
}

// nested reports whether the call is part of a second or later attempt of an outer one.
func (c *course) nested() bool {
	return !c.r.opt.RetryNested && AttemptFrom(c.ctx) > 1
}

// fits reports whether an attempt after delay can be expected to end before the deadline: whether
// there is more time than the median of those that went well.
func (c *course) fits(delay time.Duration) bool {
	deadline, ok := c.ctx.Deadline()
	return !ok || time.Until(deadline)-delay > time.Duration(c.r.latency.median.Load())
}

// waited takes note of a delay that has passed.
func (c *course) waited(delay time.Duration) { c.delays = append(c.delays, delay) }

// refund gives back what next has taken for an attempt that was not begun.
func (c *course) refund() {
	if c.r.budget != nil {
		c.r.budget.add(c.r.budget.costs[c.class])
	}
}

// succeeded reports the success of an attempt, and with it of the call.
func (c *course) succeeded(number int, hedge bool) {
	c.r.healthy()
	if number > 1 {
		c.r.hooks.Recovered(c.ctx, Info{Name: c.r.name, Attempt: number, Hedge: hedge})
	}
	c.ended("", nil)
}

// ended reports the end of the call.
func (c *course) ended(reason Reason, err error) {
	if c.r.timed {
		c.r.hooks.Ended(c.ctx, Info{Name: c.r.name, Attempt: c.begun, Took: time.Since(c.since), Reason: reason, Err: err})
	}
}

// over ends a call whose context has ended.
func (c *course) over() error {
	cause := context.Cause(c.ctx)
	if c.r.opt.TotalTimeout > 0 && errors.Is(cause, ErrTotalTimeout) {
		return c.giveUp(TimeExhausted, cause, 0)
	}
	return c.giveUp(Canceled, cause, 0)
}

func (c *course) giveUp(reason Reason, cause error, after time.Duration) error {
	err := &ExhaustedError{
		Name: c.r.name, Reason: reason, Attempts: c.begun, Delays: c.delays,
		Last: c.last, Cause: cause, ended: c.ctx.Err(), after: after,
	}
	c.r.hooks.GaveUp(c.ctx, Info{Name: c.r.name, Attempt: c.begun, Class: c.class, Reason: reason, Err: err})
	c.ended(reason, err)
	return err
}
