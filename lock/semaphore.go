package lock

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/concord-go/concord/internal/claim"
	"github.com/concord-go/concord/lease"
)

// Semaphore lets parties hold a key up to a limit in all, each with a weight. What a party that
// dies has held is free when its TTL has passed. First come, first served: a heavy claim at the
// head is not overtaken by light ones that would fit.
//
// All parties of a key must name the same limit, else the later one is refused with a
// [*ConflictError]; see [Semaphore.Resize] for how to change it. Its keys are not those of a
// [Locker].
//
// Its methods may be called by several goroutines. The zero Semaphore is not usable; make one per
// process and limit with [NewSemaphore] and share it. It must be closed.
type Semaphore struct {
	front
	size atomic.Pointer[size]
}

// size is a limit and how new it is.
type size struct{ limit, epoch int64 }

// NewSemaphore returns a Semaphore of the given limit, 1 to 2^31-1, on b, which stays the caller's.
// Arguments and options that are out of bounds are reported all at once; a backend without limits
// is refused with lease.ErrUnsupported.
func NewSemaphore(b lease.Backend, limit int64, o *Options) (*Semaphore, error) {
	first := &size{limit: limit}
	f, err := newFront(b, o, func(c lease.Capabilities) error { return errors.Join(first.validate(), sharing(c)) })
	if err != nil {
		return nil, err
	}
	s := &Semaphore{front: f}
	s.size.Store(first)
	return s, nil
}

func (s *size) validate() error {
	var errs []error
	if s.limit < 1 || s.limit > lease.MaxWeight {
		errs = append(errs, &InvalidError{Field: "limit", Problem: fmt.Sprintf("must be 1 to %d", lease.MaxWeight)})
	}
	if s.epoch < 0 {
		errs = append(errs, &InvalidError{Field: "epoch", Problem: "must not be negative"})
	}
	return errors.Join(errs...)
}

// Acquire waits until the caller holds weight of key's limit, in the order in which callers came,
// or until ctx ends. weight is 1 to the limit. The errors are those of [Locker.Acquire].
func (s *Semaphore) Acquire(ctx context.Context, key string, weight int64) (*Share, error) {
	return s.permit(ctx, key, weight, true)
}

// TryAcquire is Acquire without waiting: if weight does not fit, or somebody waits, the error is a
// [*HeldError] that names one of those in the way.
func (s *Semaphore) TryAcquire(ctx context.Context, key string, weight int64) (*Share, error) {
	return s.permit(ctx, key, weight, false)
}

// Do runs fn while the caller holds weight of key's limit, as [Locker.Do] does.
func (s *Semaphore) Do(ctx context.Context, key string, weight int64, fn func(context.Context, *Share) error) error {
	share, err := s.Acquire(ctx, key, weight)
	if err != nil {
		return err
	}
	return share.do(ctx, func(ctx context.Context) error { return fn(ctx, share) })
}

// Resize changes the limit from the next Acquire on. epoch says how new it is: a key takes the
// limit of the highest epoch that it has seen, and a party with another limit of a lower or the
// same epoch is refused with a [*ConflictError]. A semaphore starts with epoch 0. To change the
// limit of a running system, give all processes the new limit under a higher epoch, in any order.
//
// A larger limit lets waiters in with the next request for the key that carries it. A smaller one
// ends nobody's share: there is no new one until it fits. A waiter that is heavier than the new
// limit is refused.
//
// A key forgets its limit and epoch when nobody holds it or waits for it.
func (s *Semaphore) Resize(limit, epoch int64) error {
	next := &size{limit, epoch}
	if err := next.validate(); err != nil {
		return fmt.Errorf("lock: resize: %w", err)
	}
	s.size.Store(next)
	return nil
}

func (s *Semaphore) permit(ctx context.Context, key string, weight int64, queue bool) (*Share, error) {
	now := s.size.Load()
	if weight < 1 || weight > now.limit {
		return nil, fmt.Errorf("lock: %s %q: %w", verb(queue), key,
			&InvalidError{Field: "weight", Problem: fmt.Sprintf("must be 1 to the limit, %d", now.limit)})
	}
	h, err := s.acquire(ctx, KindPermit, claim.Wish{Key: key, Weight: weight, Limit: now.limit, LimitEpoch: now.epoch, Queue: queue})
	if err != nil {
		return nil, err
	}
	return &Share{h}, nil
}
