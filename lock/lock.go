package lock

import (
	"context"

	"github.com/concord-go/concord/internal/claim"
	"github.com/concord-go/concord/lease"
)

// Locker acquires locks on one backend. Its methods may be called by several goroutines. The zero
// Locker is not usable; make one per process with [New] and share it, since leases of one Locker
// are renewed together. It must be closed.
type Locker struct{ front }

// New returns a Locker on b, which stays the caller's. Options that are out of bounds are reported
// all at once, each as an [*InvalidError].
func New(b lease.Backend, o *Options) (*Locker, error) {
	f, err := newFront(b, o, func(lease.Capabilities) error { return nil })
	if err != nil {
		return nil, err
	}
	return &Locker{f}, nil
}

// Acquire waits until the caller holds key, in the order in which callers came, or until ctx ends.
// key has 1 to 512 bytes of any value. The end of ctx after Acquire has returned does not end the
// lease.
//
// The error matches the error of ctx if it ended first, [ErrUncertain] as well if it ended over an
// unanswered request, [ErrUnavailable] if the engine answered nothing for the length of the TTL
// (2 s to 30 s), [ErrQueueFull], [ErrConflict], [ErrClosed] or [ErrInvalid].
func (l *Locker) Acquire(ctx context.Context, key string) (*Lease, error) {
	return l.lease(l.acquire(ctx, KindLock, claim.Lock(key, true)))
}

// TryAcquire is Acquire without waiting: if somebody else holds key, or waits for it, the error is
// a [*HeldError].
func (l *Locker) TryAcquire(ctx context.Context, key string) (*Lease, error) {
	return l.lease(l.acquire(ctx, KindLock, claim.Lock(key, false)))
}

func (*Locker) lease(h held, err error) (*Lease, error) {
	if err != nil {
		return nil, err
	}
	return &Lease{h}, nil
}

// Do acquires key, runs fn under it and releases it, also when fn panics. The context of fn ends
// when ctx ends or the lease is lost, and then has the matching cause.
//
// Do returns the error of fn. If the lease was lost before fn returned the error also matches
// [ErrLost], even if fn returned nil: part of its work may have run beside another holder's. A
// release that stays unanswered is not an error of Do; the hooks see it.
func (l *Locker) Do(ctx context.Context, key string, fn func(context.Context, *Lease) error) error {
	held, err := l.Acquire(ctx, key)
	if err != nil {
		return err
	}
	return held.do(ctx, func(ctx context.Context) error { return fn(ctx, held) })
}
