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
	w := &work{returned: make(chan struct{}), drained: make(chan bool, 1)}
	reported := make(chan struct{})
	go func() {
		defer close(reported)
		e.drain(l, w)
	}()
	defer func() {
		if done = l.ctx.Err() == nil; done {
			close(w.returned)
		} else {
			w.drained <- l.hold.Valid(0)
		}
		_ = l.Resign(ctx) // if it fails, the engine ends the claim
		<-reported
	}()
	return false, fn(l.ctx, l.term)
}

// work tells how the work of a term ends, in one of two ways.
type work struct {
	returned chan struct{} // closed when it ends before the term
	drained  chan bool     // tells that it ends after the term, and whether the claim was there until then
}

// drain waits for the work of a term that has ended, and lets the claim go when it takes too long.
func (e *Election) drain(l *Leadership, w *work) {
	select {
	case <-w.returned:
		return
	case <-l.ctx.Done():
	}
	ended := time.Now()
	if at := l.ended.Load(); at != nil && inGoodOrder(context.Cause(l.ctx)) {
		ended = *at
	}
	kept := inGoodOrder(context.Cause(l.ctx)) || l.hold.Lost() == nil
	timer := time.NewTimer(e.opt.Drain)
	defer timer.Stop()
	var late error
	select {
	case <-w.returned: // the term was resigned because of it
		return
	case held := <-w.drained:
		if kept && !held {
			late = fmt.Errorf("the work of term %s went on after its claim had ended", l.term)
		}
	case <-timer.C:
		late = fmt.Errorf("the work of term %s goes on after %v", l.term, e.opt.Drain)
		_ = l.hold.Release(l.ctx) // if it fails, the engine ends the claim
	}
	e.opt.Hooks.Drained(Info{Term: l.term, Wait: time.Since(ended), Err: late})
}

// inGoodOrder reports whether a term that ended for that reason still had its claim.
func inGoodOrder(cause error) bool {
	var lost *LostError
	return errors.As(cause, &lost) && (lost.Cause == Resigned || lost.Cause == Preempted)
}
