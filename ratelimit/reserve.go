package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// LimitedError is the refusal of a Wait. It matches [ErrLimited].
type LimitedError struct {
	Decision Decision // the refusal
}

// Error names the limit.
func (e *LimitedError) Error() string {
	return fmt.Sprintf("limit %q: nothing fits for %v", e.Decision.Limit, e.Decision.RetryAfter)
}

// Is matches [ErrLimited].
func (e *LimitedError) Is(target error) bool { return target == ErrLimited }

// RetryAfter returns how long to wait before the call can be allowed.
func (e *LimitedError) RetryAfter() time.Duration { return e.Decision.RetryAfter }

// Reservation is the right to make a call after a wait. Reservations come from [Limiter.Reserve]; the
// zero Reservation is not usable.
type Reservation struct {
	Decision Decision // Allowed says whether there is a reservation; Wait how long to wait before the call
	limiter  *Limiter
	key      string
	n        int64
}

// Reserve counts n units now for a call that is made later, at most maxWait later (up to [MaxWait]):
// who reserves first goes first. Limits with windows cannot be reserved ahead: there it is AllowN. A
// Reservation that is not used should be cancelled. The errors are those of AllowN.
func (l *Limiter) Reserve(ctx context.Context, key string, n int64, maxWait time.Duration) (*Reservation, error) {
	const verb = "reserve"
	if maxWait < 0 || maxWait > MaxWait {
		return nil, wrap(verb, key, &InvalidError{Field: "maxWait", Problem: fmt.Sprintf("must be 0 to %v", MaxWait)})
	}
	d, err := l.decide(ctx, verb, Op{Kind: OpTake, Key: key, N: n, MaxWait: maxWait})
	if err != nil {
		return nil, err
	}
	return &Reservation{Decision: d, limiter: l, key: key, n: n}, nil
}

// Settle says what the call has really cost, when n was an estimate: 0 is the same as Cancel. What it
// cost less is given back; what it cost more is counted, even if it does not fit, so that later calls
// wait for it, up to the smallest burst of the policy. Later calls of Settle and Cancel compare with
// what was said last. Nothing was counted while a fallback decided, and nothing is then.
//
// The error is as with Refund; then it may be called again, and may count twice.
func (r *Reservation) Settle(ctx context.Context, n int64) error {
	const verb = "settle"
	if n < 0 || n > MaxUnits {
		return wrap(verb, r.key, &InvalidError{Field: "n", Problem: fmt.Sprintf("must be 0 to %d", int64(MaxUnits))})
	}
	if !r.Decision.Allowed || r.Decision.Source == FromFallback || n == r.n {
		return nil
	}
	op := Op{Kind: OpCharge, Key: r.key, N: n - r.n}
	if n < r.n {
		op = Op{Kind: OpGive, Key: r.key, N: r.n - n}
	}
	op.N = min(op.N, r.limiter.force.Load().counted().most)
	if err := r.limiter.change(ctx, verb, op); err != nil {
		return err
	}
	r.n = n
	return nil
}

// Cancel gives back what was reserved, for a call that is not made. See Settle.
func (r *Reservation) Cancel(ctx context.Context) error { return r.Settle(ctx, 0) }

// Wait is [Limiter.WaitN] of one unit.
func (l *Limiter) Wait(ctx context.Context, key string) error { return l.WaitN(ctx, key, 1) }

// WaitN returns when a call that costs n units may go on. It reserves, so waiters go in the order in
// which they came, and it refuses at once, with a [*LimitedError], what cannot fit before ctx ends or
// within [MaxWait]. Where a limit has windows, which cannot be reserved, it asks again when something
// could fit, and the order among waiters is not kept.
//
// The end of ctx, or Close, gives the reservation back. The other errors are those of AllowN.
func (l *Limiter) WaitN(ctx context.Context, key string, n int64) error {
	const verb = "wait"
	for {
		d, err := l.decide(ctx, verb, Op{Kind: OpTake, Key: key, N: n, MaxWait: patience(ctx)})
		if err != nil {
			return err
		}
		wait := d.Wait
		if !d.Allowed {
			if wait = d.RetryAfter; wait > patience(ctx) {
				return wrap(verb, key, &LimitedError{d})
			}
		}
		if err := l.pause(ctx, wait); err != nil {
			if d.Allowed && d.Source != FromFallback {
				err = errors.Join(err, l.giveBack(ctx, key, n))
			}
			return wrap(verb, key, err)
		}
		if d.Allowed {
			return nil
		}
	}
}

// patience is how long the caller would wait, in whole microseconds.
func patience(ctx context.Context) time.Duration {
	wait := MaxWait
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, max(0, time.Until(deadline)))
	}
	return wait.Truncate(time.Microsecond)
}

// giveBack gives back a reservation that nobody waits for any more.
func (l *Limiter) giveBack(ctx context.Context, key string, n int64) error {
	op := Op{Kind: OpGive, Key: key, N: n, Policy: l.force.Load().counted()}
	_, err := l.ask(context.WithoutCancel(ctx), l.by(), &op)
	if errors.Is(err, ErrClosed) {
		return nil // units that were not used are no harm
	}
	return err
}

// pause waits for d, or returns why it did not.
func (l *Limiter) pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.life.Done():
		return ErrClosed
	}
}
