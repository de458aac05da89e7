package lock_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/lock"
)

// another is a Locker of another process.
func another(t *testing.T, be *memorybackend.Backend, o *lock.Options) *lock.Locker {
	t.Helper()
	locks, err := lock.New(be.Leases(), quiet(o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = locks.Close(context.Background()) })
	return locks
}

func TestMaxHold(t *testing.T) {
	bubble(t, quiet(&lock.Options{MaxHold: 40 * time.Second}), func(t *testing.T, be *memorybackend.Backend, locks *lock.Locker) {
		other := another(t, be, nil)
		start := time.Now()
		err := locks.Do(t.Context(), "k", func(ctx context.Context, l *lock.Lease) error {
			<-ctx.Done()
			if d := time.Since(start); d != 40*time.Second {
				t.Errorf("ended after %v, want 40s", d)
			}
			next := mustAcquire(t, other, "k") // free for the next at once
			if next.Token() <= l.Token() || time.Since(start) > 41*time.Second {
				t.Errorf("token %v after %v, %v after the start", next.Token(), l.Token(), time.Since(start))
			}
			return nil
		})
		var lost *lock.LostError
		if !errors.As(err, &lost) || lost.Cause != lock.Expired || lost.Reason == "" {
			t.Errorf("%v", err)
		}
	})
}

func TestMaxHoldDoesNotTouchShortHolds(t *testing.T) {
	bubble(t, quiet(&lock.Options{MaxHold: 40 * time.Second}), func(t *testing.T, _ *memorybackend.Backend, locks *lock.Locker) {
		for range 3 {
			l := mustAcquire(t, locks, "k")
			time.Sleep(39 * time.Second)
			if err := l.Release(t.Context()); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Minute)
	})
}

func TestLockDelayAfterAnUncleanEnd(t *testing.T) {
	const ttl, delay = 9 * time.Second, 5 * time.Second
	for name, end := range map[string]struct {
		how  func(t *testing.T, be *memorybackend.Backend, locks *lock.Locker, l *lock.Lease)
		wait time.Duration
	}{
		"released": {func(t *testing.T, _ *memorybackend.Backend, _ *lock.Locker, l *lock.Lease) {
			if err := l.Release(t.Context()); err != nil {
				t.Error(err)
			}
		}, 0},
		"closed": {func(t *testing.T, _ *memorybackend.Backend, locks *lock.Locker, _ *lock.Lease) {
			if err := locks.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}, delay},
		"revoked": {func(_ *testing.T, be *memorybackend.Backend, _ *lock.Locker, _ *lock.Lease) {
			be.Control().Revoke("k", "")
		}, delay},
		"expired": {func(_ *testing.T, be *memorybackend.Backend, _ *lock.Locker, _ *lock.Lease) {
			be.Control().FailNext(1000, lock.ErrUnavailable) // every renewal
			time.Sleep(ttl)
			be.Control().FailNext(0, nil)
		}, delay},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, quiet(&lock.Options{TTL: ttl, LockDelay: delay}), func(t *testing.T, be *memorybackend.Backend, locks *lock.Locker) {
				other := another(t, be, &lock.Options{TTL: ttl, LockDelay: delay})
				l := mustAcquire(t, locks, "k")
				end.how(t, be, locks, l)
				ended := time.Now()
				mustAcquire(t, other, "k")
				if d := time.Since(ended); d < end.wait || d > end.wait+2*time.Second {
					t.Errorf("the next was granted %v after the end, want %v", d, end.wait)
				}
				synctest.Wait()
			})
		})
	}
}

func TestBoundsAreChecked(t *testing.T) {
	be := must(memorybackend.New(nil))
	defer func() { _ = be.Close(context.Background()) }()
	for field, o := range map[string]*lock.Options{
		"LockDelay": {LockDelay: time.Hour},
		"MaxHold":   {MaxHold: time.Millisecond},
	} {
		var bad *lock.InvalidError
		if _, err := lock.New(be.Leases(), o); !errors.As(err, &bad) || bad.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}
