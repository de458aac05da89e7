package lock

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/concord-go/concord/internal/claim"
	"github.com/concord-go/concord/lease"
)

// Locker acquires locks on one backend. Its methods may be called by several goroutines. The zero
// Locker is not usable; make one per process with [New] and share it, since leases of one Locker
// are renewed together. It must be closed.
type Locker struct {
	keeper *claim.Keeper
	opt    Options
}

// New returns a Locker on b, which stays the caller's. Options that are out of bounds are reported
// all at once, each as an [*InvalidError].
func New(b lease.Backend, o *Options) (*Locker, error) {
	if b == nil || reflect.ValueOf(b).Kind() == reflect.Pointer && reflect.ValueOf(b).IsNil() {
		return nil, fmt.Errorf("lock: new: %w", &InvalidError{Field: "backend", Problem: "must not be nil"})
	}
	opt, err := o.withDefaults(b.Capabilities())
	if err != nil {
		return nil, fmt.Errorf("lock: new: %w", err)
	}
	if opt.Hooks == nil {
		opt.Hooks = LogHooks(nil)
	}
	opt.Hooks = opt.Hooks.filled()
	return &Locker{keeper: claim.New(b, opt.claimOptions()), opt: opt}, nil
}

// Acquire waits until the caller holds key, in the order in which callers came, or until ctx ends.
// key has 1 to 512 bytes of any value. The end of ctx after Acquire has returned does not end the
// lease.
//
// The error matches the error of ctx if it ended first, [ErrUncertain] as well if it ended over an
// unanswered request, [ErrUnavailable] if the engine answered nothing for the length of the TTL
// (2 s to 30 s), [ErrQueueFull], [ErrConflict], [ErrClosed] or [ErrInvalid].
func (l *Locker) Acquire(ctx context.Context, key string) (*Lease, error) {
	return l.acquire(ctx, key, false)
}

// TryAcquire is Acquire without waiting: if somebody else holds key, or waits for it, the error is
// a [*HeldError].
func (l *Locker) TryAcquire(ctx context.Context, key string) (*Lease, error) {
	return l.acquire(ctx, key, true)
}

func (l *Locker) acquire(ctx context.Context, key string, try bool) (*Lease, error) {
	op := "acquire"
	if try {
		op = "try"
	}
	if err := lease.ValidateKey(key); err != nil {
		return nil, fmt.Errorf("lock: %s: %w", op, err)
	}
	start := time.Now()
	ctx = l.opt.Hooks.AcquireStart(ctx, Info{Key: key, Try: try})
	hold, err := l.keeper.Acquire(ctx, key, !try)
	err = l.wrap(op, key, err)
	info := Info{Key: key, Try: try, Wait: time.Since(start), Err: err}
	if err != nil {
		l.opt.Hooks.AcquireEnd(ctx, info)
		return nil, err
	}
	info.Token = hold.Token()
	l.opt.Hooks.AcquireEnd(ctx, info)
	return &Lease{hold: hold, locker: l}, nil
}

// Do acquires key, runs fn under it and releases it, also when fn panics. The context of fn ends
// when ctx ends or the lease is lost, and then has the matching cause.
//
// Do returns the error of fn. If the lease was lost before fn returned the error also matches
// [ErrLost], even if fn returned nil: part of its work may have run beside another holder's. A
// release that stays unanswered is not an error of Do; the hooks see it.
func (l *Locker) Do(ctx context.Context, key string, fn func(context.Context, *Lease) error) (err error) {
	held, err := l.Acquire(ctx, key)
	if err != nil {
		return err
	}
	defer func() {
		lost := held.hold.Lost()
		if released := held.Release(ctx); lost == nil && errors.Is(released, ErrNotHeld) {
			lost = held.loss(released) // the engine noticed, and nobody else
		}
		if lost != nil && !errors.Is(err, ErrLost) {
			err = errors.Join(err, l.wrap("do", key, lost))
		}
	}()
	fnCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(held.Context(), func() { cancel(context.Cause(held.Context())) })()
	return fn(fnCtx, held)
}

// Close ends every lease with the cause [Closed] and releases it, makes waiting callers return
// [ErrClosed], and returns when everything the Locker started has ended. If ctx ends before that,
// the error matches ctx's and says what was left. Further calls of Acquire return [ErrClosed];
// further calls of Close wait again.
func (l *Locker) Close(ctx context.Context) error {
	if err := l.keeper.Close(ctx); err != nil {
		return fmt.Errorf("lock: close: %w", err)
	}
	return nil
}
