package claim

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/concord-go/concord/lease"
)

// lane is a share of the calls to an engine. Renewals have one of their own, so that nothing else
// that hangs can starve them.
type lane int

const (
	ordinary lane = iota
	renewals
)

// maxAbandoned is how many calls of each lane may have been given up without having returned.
var maxAbandoned = [...]int64{ordinary: 48, renewals: 16}

// calls counts what was asked of an engine and given up. A client library that does not return
// must not cost a goroutine for every further request.
type calls struct {
	abandoned [len(maxAbandoned)]atomic.Int64
}

// errSaturated means that a call was not made.
var errSaturated = fmt.Errorf("%w: too many calls have not returned", lease.ErrUnavailable)

func (c *calls) admit(l lane) error {
	if c.abandoned[l].Load() >= maxAbandoned[l] {
		return errSaturated
	}
	return nil
}

// left returns how many calls have not returned.
func (c *calls) left() int64 { return c.abandoned[ordinary].Load() + c.abandoned[renewals].Load() }

type answer[T any] struct {
	value T
	err   error
}

// call asks the engine and waits for its answer, for the end of ctx or for timeout, whichever
// comes first. It does not rely on f to honour its context: a call that overruns is abandoned, its
// goroutine is counted until it ends, and its answer is dropped. The context given to f has the
// values of ctx and a deadline, and ends early only when the call was abandoned.
//
// A second goroutine costs more than the rest of the core, so a call that nobody can cancel is
// made in the caller's own where the engine is known to keep deadlines.
func call[T any](ctx context.Context, k *Keeper, timeout time.Duration, l lane, f func(context.Context) (T, error)) (T, error) {
	var none T
	if err := k.calls.admit(l); err != nil {
		return none, err
	}
	callCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	if k.prompt && ctx.Done() == nil {
		v, err := f(callCtx)
		return v, overrun(ctx, callCtx, err)
	}
	done := make(chan answer[T], 1)
	var gaveUp atomic.Bool
	k.running.Add()
	k.workers.Run(func() {
		defer k.running.Done()
		v, err := f(callCtx)
		done <- answer[T]{v, err}
		if gaveUp.Swap(true) { // the caller left first and counted this call
			k.calls.abandoned[l].Add(-1)
		}
	})
	select {
	case a := <-done:
		return a.value, overrun(ctx, callCtx, a.err)
	case <-ctx.Done():
	case <-callCtx.Done():
	}
	if !gaveUp.Swap(true) {
		k.calls.abandoned[l].Add(1)
	}
	select {
	case a := <-done: // answered in the same instant
		return a.value, overrun(ctx, callCtx, a.err)
	default:
		return none, overrun(ctx, callCtx, context.DeadlineExceeded)
	}
}

// overrun returns the error of a call: the end of the caller's context if that has ended, and
// nothing that looks like it if only the call's own time was over.
func overrun(ctx, callCtx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, lease.ErrUnavailable):
		return err
	case callCtx.Err() == nil && !errors.Is(err, context.DeadlineExceeded):
		return err // an engine may look at the deadline before the timer of callCtx has fired
	default:
		return fmt.Errorf("%w: no answer in time (%s)", lease.ErrUnavailable, err.Error())
	}
}
