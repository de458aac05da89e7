package ratelimit

import (
	"context"
	"fmt"
	"time"
)

// maxAbandoned is how many calls to the engine may have been given up without having returned.
const maxAbandoned = 64

// ask puts one op to the engine and waits for the answer until by. It does not rely on the engine to keep
// its deadline: a call that overruns is abandoned, and Close waits for it. The second goroutine that this
// takes is saved for a call that nobody can cancel, where the engine is known to keep deadlines.
func (l *Limiter) ask(ctx context.Context, by time.Time, op *Op) (Decision, error) {
	if err := ctx.Err(); err != nil {
		return Decision{}, err
	}
	l.mu.RLock()
	if l.closed.Load() {
		l.mu.RUnlock()
		return Decision{}, ErrClosed
	}
	if l.abandoned.Load() >= maxAbandoned {
		l.mu.RUnlock()
		return Decision{}, fmt.Errorf("%w: too many calls have not returned", ErrUnavailable)
	}
	l.running.Add()
	l.mu.RUnlock()

	c := &call{ops: [1]Op{*op}}
	limit, cancel := context.WithDeadline(context.WithoutCancel(ctx), by)
	if l.prompt && ctx.Done() == nil {
		defer l.running.Done()
		defer cancel()
		l.backend.Apply(limit, c.ops[:], c.out[:])
		return c.result(ctx)
	}
	c.done = make(chan struct{})
	l.workers.Run(func() {
		defer l.running.Done()
		defer cancel()
		l.backend.Apply(limit, c.ops[:], c.out[:])
		close(c.done)
		if c.left.Swap(true) { // the caller left first, and counted this call
			l.abandoned.Add(-1)
		}
	})
	select {
	case <-c.done:
		return c.result(ctx)
	case <-ctx.Done():
	case <-limit.Done():
	case <-l.life.Done():
	}
	if !c.left.Swap(true) {
		l.abandoned.Add(1)
	}
	select {
	case <-c.done: // in the same instant
		return c.result(ctx)
	default:
	}
	switch {
	case ctx.Err() != nil:
		return Decision{}, ctx.Err()
	case l.life.Err() != nil:
		return Decision{}, ErrClosed
	}
	return Decision{}, l.late()
}

// by returns until when a decision must be made that is asked for now.
func (l *Limiter) by() time.Time { return time.Now().Add(l.opt.Timeout) }

func (l *Limiter) late() error {
	return fmt.Errorf("%w: no answer within %v", ErrUnavailable, l.opt.Timeout)
}

// background runs f in a goroutine that Close waits for, with Options.Timeout, and reports its failure.
// After Close it does nothing.
func (l *Limiter) background(f func(ctx context.Context) error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed.Load() {
		return
	}
	l.running.Go(func() {
		if err := f(l.life); err != nil && l.life.Err() == nil {
			l.failed(Info{Err: err})
		}
	})
}
