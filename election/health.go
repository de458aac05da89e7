package election

import (
	"context"
	"errors"
	"fmt"

	"github.com/concord-go/concord/lease"
)

var (
	errSick  = errors.New("the candidate is sick")
	errHangs = errors.New("the last health check has not returned")
	errOver  = fmt.Errorf("no more health checks: %w", lease.ErrClosed)
)

// recover returns when the candidate is well, or with the error of ctx, or when the Election is closed.
func (e *Election) recover(ctx context.Context) error {
	for {
		err := e.check(ctx)
		if errors.Is(err, errOver) {
			return e.wrap("run", ErrClosed)
		}
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		if err := sleep(ctx, e.opt.TTL/3); err != nil {
			return err
		}
	}
}

// watchHealth calls sick once, when the candidate is, until stop is called or ctx ends.
func (e *Election) watchHealth(ctx context.Context, sick func(error)) (stop func()) {
	if e.opt.Healthy == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for sleep(ctx, e.opt.TTL/3) == nil {
			if err := e.check(ctx); err != nil && ctx.Err() == nil {
				sick(err)
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// check asks whether the candidate is well. A check that does not return is a no, and there is one
// at a time.
func (e *Election) check(ctx context.Context) error {
	if e.opt.Healthy == nil {
		return nil
	}
	limit, cancel := context.WithTimeout(ctx, e.opt.TTL/3)
	result, err := e.ask(limit, cancel)
	if err != nil {
		cancel()
		if errors.Is(err, errOver) {
			return err
		}
		return e.health(err)
	}
	select {
	case err := <-result:
		return e.health(err)
	case <-limit.Done():
		if ctx.Err() != nil {
			return ctx.Err()
		}
		select {
		case err := <-result: // it has returned, which ends limit too
			return e.health(err)
		default:
		}
		return e.health(fmt.Errorf("the health check has not returned: %w", limit.Err()))
	}
}

// ask starts a health check, unless one is running.
func (e *Election) ask(ctx context.Context, done func()) (<-chan error, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return nil, errOver
	case e.checking != nil:
		return nil, errHangs
	}
	result, running := make(chan error, 1), make(chan struct{})
	e.checking = running
	go func() {
		defer done()
		err := e.opt.Healthy(ctx)
		e.mu.Lock()
		e.checking = nil
		e.mu.Unlock()
		close(running)
		result <- err
	}()
	return result, nil
}

// health reports a change.
func (e *Election) health(err error) error {
	if sick := err != nil; e.sick.Swap(sick) != sick {
		e.opt.Hooks.Health(Info{Err: err})
	}
	return err
}
