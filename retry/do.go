package retry

import (
	"context"
	"time"
)

// Do calls fn until it succeeds, and returns what it returned then. Between attempts it waits as
// Options.Backoff or the error says. fn runs on the caller's goroutine, one attempt after the other, and
// must return when its context ends; nobody else can make it.
//
// When there is no further attempt, the error is an [*ExhaustedError], also after a single one, and
// the value is zero. When ctx ends, Do returns as soon as fn has; with a success if that is what fn made
// of it. A panic of fn goes through.
//
// The context of an attempt may end when fn returns, so what fn returns must not depend on it.
func Do[T any](ctx context.Context, r *Retrier, fn func(context.Context, Attempt) (T, error)) (T, error) {
	hi, lo := randomKey()
	first := Attempt{Number: 1, ctx: ctx, hi: hi, lo: lo} // made here, as to copy one takes longer than to make it
	if !r.bare || ctx.Err() != nil {
		return repeat(ctx, r, first, fn, nil)
	}
	var start time.Time
	if first.sampled() {
		start = time.Now()
	}
	v, err := fn(ctx, first)
	if err != nil {
		return repeat(ctx, r, first, fn, err)
	}
	if first.sampled() {
		r.observe(start)
	}
	r.healthy()
	return v, nil
}

// repeat is Do beyond the case that must be fast. failed is the error of a first attempt that was made.
func repeat[T any](ctx context.Context, r *Retrier, first Attempt, fn func(context.Context, Attempt) (T, error), failed error) (T, error) {
	var zero T
	ctx, cancel := r.bound(ctx)
	defer cancel()
	c := &course{r: r, ctx: ctx, attempt: first, since: r.began()}
	switch {
	case failed != nil:
		c.begun = 1
		c.failed(ctx, 1, failed)
	case ctx.Err() != nil:
		return zero, c.over()
	default:
		if v, ok := once(c, fn); ok {
			return v, nil
		}
	}
	for {
		delay, err := c.next()
		if err != nil {
			return zero, err
		}
		if !c.wait(delay) {
			return zero, c.over()
		}
		if v, ok := once(c, fn); ok {
			return v, nil
		}
	}
}

// once makes one attempt.
func once[T any](c *course, fn func(context.Context, Attempt) (T, error)) (T, bool) {
	a := c.begin()
	ctx, cancel := c.r.attemptContext(c.ctx, a.Number)
	defer cancel()
	start := time.Now()
	v, err := fn(ctx, a)
	if err != nil {
		c.failed(ctx, a.Number, err)
		return v, false
	}
	c.r.observe(start)
	c.succeeded(a.Number, false)
	return v, true
}

// wait waits before an attempt that next has paid for, and reports false if the context ended first.
func (c *course) wait(delay time.Duration) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.ctx.Done():
	}
	if c.ctx.Err() != nil { // also when both have come
		c.refund()
		return false
	}
	c.waited(delay)
	return true
}
