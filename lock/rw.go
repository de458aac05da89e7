package lock

import (
	"context"

	"github.com/concord-go/concord/internal/claim"
	"github.com/concord-go/concord/lease"
)

// everything is the limit of an RWLocker's keys: a writer takes all of it and a reader 1.
const everything = lease.MaxWeight

// RWLocker acquires locks that many can read under, or one can write under. Who comes first is
// served first, readers as well as writers: a reader that comes while a writer waits waits behind
// it, so a stream of readers does not keep a writer out for ever. A reader that dies blocks writers
// for the rest of its TTL and no longer.
//
// Its keys are not those of a [Locker]: a key that is in use by one is refused to the other with a
// [*ConflictError].
//
// A lease to write can be lowered to one to read ([WriteLease.Downgrade]), and not the other way
// round: two readers that both wait to become the writer wait for each other. Release the one and
// acquire the other, and look again at what was read, for a writer may have been in between.
//
// Its methods may be called by several goroutines. The zero RWLocker is not usable; make one per
// process with [NewRW] and share it. It must be closed.
type RWLocker struct{ front }

// NewRW returns an RWLocker on b, which stays the caller's. Options that are out of bounds are
// reported all at once; a backend without limits is refused with lease.ErrUnsupported.
func NewRW(b lease.Backend, o *Options) (*RWLocker, error) {
	f, err := newFront(b, o, sharing)
	if err != nil {
		return nil, err
	}
	return &RWLocker{f}, nil
}

// AcquireRead waits until the caller may read under key, or until ctx ends. The errors are those
// of [Locker.Acquire].
func (l *RWLocker) AcquireRead(ctx context.Context, key string) (*Share, error) {
	return l.read(ctx, key, true)
}

// TryAcquireRead is AcquireRead without waiting: if somebody writes, or waits to, the error is a
// [*HeldError].
func (l *RWLocker) TryAcquireRead(ctx context.Context, key string) (*Share, error) {
	return l.read(ctx, key, false)
}

// AcquireWrite waits until the caller is alone on key, or until ctx ends. The errors are those of
// [Locker.Acquire].
func (l *RWLocker) AcquireWrite(ctx context.Context, key string) (*WriteLease, error) {
	return l.write(ctx, key, true)
}

// TryAcquireWrite is AcquireWrite without waiting: if somebody reads or writes, or waits to, the
// error is a [*HeldError].
func (l *RWLocker) TryAcquireWrite(ctx context.Context, key string) (*WriteLease, error) {
	return l.write(ctx, key, false)
}

// DoRead runs fn while the caller may read under key, as [Locker.Do] does.
func (l *RWLocker) DoRead(ctx context.Context, key string, fn func(context.Context, *Share) error) error {
	s, err := l.AcquireRead(ctx, key)
	if err != nil {
		return err
	}
	return s.do(ctx, func(ctx context.Context) error { return fn(ctx, s) })
}

// DoWrite runs fn while the caller is alone on key, as [Locker.Do] does.
func (l *RWLocker) DoWrite(ctx context.Context, key string, fn func(context.Context, *WriteLease) error) error {
	w, err := l.AcquireWrite(ctx, key)
	if err != nil {
		return err
	}
	return w.do(ctx, func(ctx context.Context) error { return fn(ctx, w) })
}

func (l *RWLocker) read(ctx context.Context, key string, queue bool) (*Share, error) {
	h, err := l.acquire(ctx, KindRead, claim.Wish{Key: key, Weight: 1, Limit: everything, Queue: queue})
	if err != nil {
		return nil, err
	}
	return &Share{h}, nil
}

func (l *RWLocker) write(ctx context.Context, key string, queue bool) (*WriteLease, error) {
	h, err := l.acquire(ctx, KindWrite, claim.Wish{Key: key, Weight: everything, Limit: everything, Queue: queue})
	if err != nil {
		return nil, err
	}
	return &WriteLease{Lease{h}}, nil
}

// WriteLease is a [Lease] of an [RWLocker].
type WriteLease struct{ Lease }

// Downgrade turns the right to write into one to read without letting a writer in between, and
// lets readers that wait next in. It returns the same hold: what ends one ends the other, and
// either may be released. The caller must not write any more.
//
// The error matches [ErrNotHeld] if the lease had ended, the error of ctx, or [ErrUnavailable];
// then it is not known whether others read already, and Downgrade may be called again.
func (w *WriteLease) Downgrade(ctx context.Context) (*Share, error) {
	if err := w.hold.Lower(ctx, 1); err != nil {
		return nil, w.front.wrap("downgrade", w.Key(), 0, err)
	}
	return &Share{w.held}, nil
}
