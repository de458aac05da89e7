package lock_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lock"
)

// What docs/migration.md shows as the new code.

func afterRedsync(ctx context.Context, locks *lock.Locker, work func(context.Context, fence.Token) error) error {
	return locks.Do(ctx, "orders/42", func(ctx context.Context, l *lock.Lease) error {
		return work(ctx, l.Token())
	})
}

var errBusy = errors.New("busy")

func afterRedislock(ctx context.Context, locks *lock.Locker, work func(context.Context, fence.Token) error) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second) // the wait
	defer cancel()
	l, err := locks.Acquire(ctx, "orders/42")
	if errors.Is(err, context.DeadlineExceeded) {
		return errBusy
	} else if err != nil {
		return err
	}
	defer func() { _ = l.Release(ctx) }() // works although ctx may have ended
	return work(l.Context(), l.Token())
}

func TestMigratedCode(t *testing.T) {
	bubble(t, nil, func(t *testing.T, be *memorybackend.Backend, locks *lock.Locker) {
		var last fence.Token
		work := func(ctx context.Context, token fence.Token) error {
			if token <= last {
				t.Errorf("token %v after %v", token, last)
			}
			last = token
			time.Sleep(time.Minute) // longer than the TTL, and than the wait
			return ctx.Err()
		}
		for range 2 {
			if err := errors.Join(afterRedsync(t.Context(), locks, work), afterRedislock(t.Context(), locks, work)); err != nil {
				t.Fatal(err)
			}
		}
		held := mustAcquire(t, another(t, be, nil), "orders/42")
		if err := afterRedislock(t.Context(), locks, work); !errors.Is(err, errBusy) {
			t.Errorf("%v", err)
		}
		_ = held.Release(t.Context())
	})
}
