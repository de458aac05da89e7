package memorybackend

import (
	"context"
	"errors"
	"fmt"

	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/ratelimit"
)

// limits is the port of package ratelimit.
type limits struct {
	b     *Backend
	rates *ratelimit.Table
}

// Capabilities implements [ratelimit.Backend].
func (l limits) Capabilities() ratelimit.Capabilities { return ratelimit.Capabilities{Clock: true} }

// Table implements [ratelimit.Local], until a test control was used or the backend is closed.
func (l limits) Table() *ratelimit.Table {
	if l.b.disturbed.Load() {
		return nil
	}
	return l.rates
}

// Apply implements [ratelimit.Backend].
func (l limits) Apply(ctx context.Context, ops []ratelimit.Op, out []ratelimit.Outcome) {
	err := l.b.arrive(ctx)
	if err == nil {
		err = ctx.Err()
	}
	for i := range ops {
		if out[i] = (ratelimit.Outcome{Err: limitsError(err)}); err == nil {
			out[i].Decision = l.rates.Decide(ops[i])
		}
	}
	if err := l.b.leave(); err != nil {
		for i := range out {
			out[i] = ratelimit.Outcome{Err: limitsError(err)}
		}
	}
}

// limitsError says in the words of package ratelimit what went wrong.
func limitsError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, lease.ErrUnavailable):
		return fmt.Errorf("memorybackend: %w: %w", ratelimit.ErrUnavailable, err)
	case errors.Is(err, lease.ErrClosed):
		return fmt.Errorf("memorybackend: %w", ratelimit.ErrClosed)
	}
	return err
}
