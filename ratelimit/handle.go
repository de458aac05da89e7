package ratelimit

import (
	"context"
	"sync/atomic"
	"time"
)

// Handle is a limit for one key, with the methods that programs know from golang.org/x/time/rate: what
// is written for a *rate.Limiter moves to a shared limit by a change of type. Handles come from
// [Limiter.For] and [FromRate]; the zero Handle is not usable. Its methods may be called by several
// goroutines.
type Handle struct {
	allow   func(n int64) bool
	wait    func(ctx context.Context, n int64) error
	reserve func(n int64) Hold
}

// Hold is a reservation, with the methods of a *rate.Reservation.
type Hold interface {
	OK() bool             // there is a reservation
	Delay() time.Duration // how long to wait before the call
	Cancel()              // the call is not made
}

// For returns the limit of key. Its methods that take no context wait for Options.Timeout at most; a
// cost or key that is out of bounds is refused.
func (l *Limiter) For(key string) *Handle {
	var known atomic.Pointer[allowance] // of the key, as long as it has units
	var at atomic.Pointer[place]        // of the key
	return &Handle{
		allow: func(n int64) bool {
			if t := l.table(); t != nil {
				op := Op{Kind: OpTake, Key: key, Policy: l.Policy(), N: n}
				return op.sound() && t.allow(&op, &at)
			}
			if a := known.Load(); a != nil && n > 0 && l.opt.Hooks.Decided == nil {
				if a.spend(n) {
					return true
				}
				known.Store(nil)
			}
			defer l.remember(key, &known)
			d, err := l.AllowN(context.Background(), key, n)
			return err == nil && d.Allowed
		},
		wait: func(ctx context.Context, n int64) error { return l.WaitN(ctx, key, n) },
		reserve: func(n int64) Hold {
			r, err := l.Reserve(context.Background(), key, n, MaxWait)
			if err != nil {
				return hold{&Reservation{}}
			}
			return hold{r}
		},
	}
}

// remember looks up the allowance of a key.
func (l *Limiter) remember(key string, known *atomic.Pointer[allowance]) {
	if h := l.force.Load().hot; h != nil {
		h.mu.RLock()
		known.Store(h.keys[key])
		h.mu.RUnlock()
	}
}

// Allow is AllowN of one unit.
func (h *Handle) Allow() bool { return h.allow(1) }

// AllowN decides whether a call that costs n units may go on now. The time is there for the signature
// alone: the engine has the clock.
func (h *Handle) AllowN(_ time.Time, n int) bool { return h.allow(int64(n)) }

// Wait is WaitN of one unit.
func (h *Handle) Wait(ctx context.Context) error { return h.wait(ctx, 1) }

// WaitN is [Limiter.WaitN].
func (h *Handle) WaitN(ctx context.Context, n int) error { return h.wait(ctx, int64(n)) }

// Reserve is ReserveN of one unit.
func (h *Handle) Reserve() Hold { return h.reserve(1) }

// ReserveN is [Limiter.Reserve] up to [MaxWait] ahead. See AllowN about the time.
func (h *Handle) ReserveN(_ time.Time, n int) Hold { return h.reserve(int64(n)) }

// hold is a Reservation with the methods of x/time.
type hold struct{ r *Reservation }

func (h hold) OK() bool { return h.r.Decision.Allowed }

func (h hold) Delay() time.Duration { return h.r.Decision.Wait }

func (h hold) Cancel() {
	if h.OK() {
		_ = h.r.Cancel(context.Background()) // units that nobody uses are no harm
	}
}

// FromRate returns a Handle that a caller's *rate.Limiter of golang.org/x/time drives, so that code can
// be changed to Handles before its limits are. The limiter stays the caller's.
func FromRate[R Hold](l interface {
	AllowN(at time.Time, n int) bool
	WaitN(ctx context.Context, n int) error
	ReserveN(at time.Time, n int) R
}) *Handle {
	return &Handle{
		allow:   func(n int64) bool { return l.AllowN(time.Now(), int(n)) },
		wait:    func(ctx context.Context, n int64) error { return l.WaitN(ctx, int(n)) },
		reserve: func(n int64) Hold { return l.ReserveN(time.Now(), int(n)) },
	}
}
