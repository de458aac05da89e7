package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
)

// call is one op that is under way.
type call struct {
	ops  [1]Op
	out  [1]Outcome
	done chan struct{}
	left atomic.Bool // by the caller, or by the engine: whoever comes second knows
}

// result is what came of it. What looks like the end of the caller's ctx and is not, is the end of the
// call's own time.
func (c *call) result(ctx context.Context) (Decision, error) {
	err := c.out[0].Err
	switch {
	case err == nil:
		return c.out[0].Decision, nil
	case ctx.Err() != nil:
		return Decision{}, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return Decision{}, fmt.Errorf("%w: no answer in time (%s)", ErrUnavailable, err.Error())
	}
	return Decision{}, err
}
