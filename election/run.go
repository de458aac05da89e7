package election

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Run stands for election, calls fn while this candidate leads, and stands again when the term has
// ended, until ctx ends or fn returns while it still leads. In the latter case it returns the error
// of fn, else the error of ctx, [ErrClosed], or what makes standing useless: [ErrDuplicate],
// [ErrConflict]. Any other failure is reported to Hooks.Failed and tried again.
//
// The context of fn ends when the term does, and when ctx does. fn should return then. The claim is
// kept until it has, at most for Options.Drain, if the term ended in good order; after that the next
// leader begins while fn may still run. Run never calls fn again before it has returned, and does
// not return before.
func (e *Election) Run(ctx context.Context, fn func(ctx context.Context, term Term) error) error {
	for pause := time.Duration(0); ; {
		l, err := e.stand(ctx)
		switch {
		case err == nil:
			pause = 0
			if done, err := e.serve(ctx, l, fn); done {
				return err
			}
		case ctx.Err() != nil:
		case errors.Is(err, ErrDuplicate), errors.Is(err, ErrConflict), errors.Is(err, ErrClosed):
			return err
		case !errors.Is(err, errSick):
			e.opt.Hooks.Failed(Info{Err: err})
			pause = min(max(2*pause, e.opt.TTL/20), e.opt.TTL)
			_ = sleep(ctx, pause)
		}
		if ctx.Err() != nil {
			return e.wrap("run", ctx.Err())
		}
	}
}

// stand waits until the candidate is well, and is Campaign until it becomes sick.
func (e *Election) stand(ctx context.Context) (*Leadership, error) {
	if err := e.recover(ctx); err != nil {
		return nil, err
	}
	standing, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer e.watchHealth(standing, func(err error) { stop(fmt.Errorf("%w: %w", errSick, err)) })()
	l, err := e.Campaign(standing)
	if sick := context.Cause(standing); err != nil && errors.Is(sick, errSick) {
		return nil, sick
	}
	return l, err
}

// serve calls fn during a term and gives the term back, also when fn panics. done says that fn
// returned by itself.
func (e *Election) serve(ctx context.Context, l *Leadership, fn func(context.Context, Term) error) (done bool, err error) {
	defer e.watchHealth(l.ctx, func(err error) { l.end(l.resigned("sick: " + err.Error())) })()
	defer context.AfterFunc(ctx, func() { l.end(l.resigned("")) })()
	over, drained := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(drained)
		e.drain(l, over)
	}()
	defer func() {
		done = l.ctx.Err() == nil
		close(over)
		_ = l.Resign(ctx) // if it fails, the engine ends the claim
		<-drained
	}()
	return false, fn(l.ctx, l.term)
}

// drain waits for the work of a term that has ended, and lets the claim go when it takes too long.
func (e *Election) drain(l *Leadership, over <-chan struct{}) {
	select {
	case <-over:
		return
	case <-l.ctx.Done():
	}
	ended := time.Now()
	timer := time.NewTimer(e.opt.Drain)
	defer timer.Stop()
	var late error
	select {
	case <-over:
	case <-timer.C:
		late = fmt.Errorf("the work of term %s goes on after %v", l.term, e.opt.Drain)
		_ = l.hold.Release(l.ctx) // if it fails, the engine ends the claim
	}
	e.opt.Hooks.Drained(Info{Term: l.term, Wait: time.Since(ended), Err: late})
}
