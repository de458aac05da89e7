package lock_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/lock"
)

func TestAcquireAllHoldsAll(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *memorybackend.Backend, locks *lock.Locker) {
		ctx := t.Context()
		keys := []string{"c", "a", "b"}
		g := must(locks.AcquireAll(ctx, keys...))
		for i, l := range g.Leases() {
			if l.Key() != keys[i] || l.Token() == 0 {
				t.Errorf("lease %d is of %q, token %v", i, l.Key(), l.Token())
			}
			if _, err := locks.TryAcquire(ctx, l.Key()); !errors.Is(err, lock.ErrHeld) {
				t.Errorf("%s is free: %v", l.Key(), err)
			}
		}
		time.Sleep(time.Minute) // they are renewed
		if g.Context().Err() != nil {
			t.Fatal(context.Cause(g.Context()))
		}
		if err := g.Release(ctx); err != nil {
			t.Fatal(err)
		}
		if c := lostCause(context.Cause(g.Context())); c != lock.Resigned {
			t.Errorf("cause %v", c)
		}
		if _, err := locks.TryAcquireAll(ctx, keys...); err != nil {
			t.Error(err)
		}
	})
}

func TestTryAcquireAllTakesAllOrNone(t *testing.T) {
	bubble(t, nil, func(t *testing.T, be *memorybackend.Backend, locks *lock.Locker) {
		ctx := t.Context()
		mustAcquire(t, locks, "b")
		_, err := locks.TryAcquireAll(ctx, "a", "b", "c")
		var held *lock.HeldError
		if !errors.As(err, &held) || err.Error()[:len(`lock: try all "b": `)] != `lock: try all "b": ` {
			t.Errorf("%v", err)
		}
		for _, key := range []string{"a", "c"} {
			if s := must(locks.Inspect(ctx, key)); s.Holder != nil || s.Waiting != 0 {
				t.Errorf("%s: %+v", key, s)
			}
		}
	})
}

// It waits with what it has, keeps that, and gives it all back when its ctx ends.
func TestAcquireAllGivesUp(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *memorybackend.Backend, locks *lock.Locker) {
		b := mustAcquire(t, locks, "b")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		failed := make(chan error, 1)
		go func() { _, err := locks.AcquireAll(ctx, "c", "b", "a"); failed <- err }()
		time.Sleep(45 * time.Second) // longer than the TTL
		synctest.Wait()
		if _, err := locks.TryAcquire(t.Context(), "a"); !errors.Is(err, lock.ErrHeld) {
			t.Errorf("a, which comes first, is not kept: %v", err)
		}
		mustAcquire(t, locks, "c") // not reached yet
		if err := <-failed; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		synctest.Wait()
		mustAcquire(t, locks, "a")
		_ = b.Release(t.Context())
		mustAcquire(t, locks, "b")
	})
}

func TestAcquireAllInOppositeOrders(t *testing.T) {
	bubble(t, nil, func(t *testing.T, be *memorybackend.Backend, _ *lock.Locker) {
		keys := []string{"a", "b", "c", "d"}
		var inside sync.Mutex
		var all sync.WaitGroup
		for n := range 6 {
			locks := must(lock.New(be.Leases(), quiet(nil)))
			t.Cleanup(func() { _ = locks.Close(context.Background()) })
			mine := slices.Clone(keys)
			if n%2 == 1 {
				slices.Reverse(mine)
			}
			all.Go(func() {
				for range 20 {
					err := locks.DoAll(t.Context(), mine, func(context.Context, *lock.Group) error {
						if !inside.TryLock() {
							t.Error("two groups hold the same keys")
							return nil
						}
						time.Sleep(time.Millisecond)
						inside.Unlock()
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
	})
}

func TestGroupEndsWithItsFirstLoss(t *testing.T) {
	bubble(t, nil, func(t *testing.T, be *memorybackend.Backend, locks *lock.Locker) {
		err := locks.DoAll(t.Context(), []string{"a", "b"}, func(ctx context.Context, g *lock.Group) error {
			be.Control().Revoke("b", "maintenance")
			<-ctx.Done()
			if c := lostCause(context.Cause(ctx)); c != lock.Revoked {
				t.Errorf("cause %v", c)
			}
			return nil
		})
		var lost *lock.LostError
		if !errors.As(err, &lost) || lost.Key != "b" || lost.Cause != lock.Revoked {
			t.Errorf("%v", err)
		}
		mustAcquire(t, locks, "a")
	})
}

// A key that is lost while others are waited for spoils the whole.
func TestAcquireAllLosesAKeyWhileItWaits(t *testing.T) {
	bubble(t, nil, func(t *testing.T, be *memorybackend.Backend, locks *lock.Locker) {
		mustAcquire(t, locks, "b")
		failed := make(chan error, 1)
		go func() { _, err := locks.AcquireAll(t.Context(), "a", "b"); failed <- err }()
		synctest.Wait()
		be.Control().Revoke("a", "maintenance")
		if err := <-failed; !errors.Is(err, lock.ErrLost) || lostCause(err) != lock.Revoked {
			t.Errorf("%v", err)
		}
		synctest.Wait()
		if s := must(locks.Inspect(t.Context(), "b")); s.Waiting != 0 {
			t.Errorf("still waiting: %+v", s)
		}
	})
}

func TestAcquireAllArguments(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *memorybackend.Backend, locks *lock.Locker) {
		many := make([]string, 65)
		for i := range many {
			many[i] = fmt.Sprint(i)
		}
		for what, keys := range map[string][]string{"none": nil, "too many": many, "twice": {"a", "b", "a"}, "empty": {"a", ""}} {
			var bad *lock.InvalidError
			if _, err := locks.AcquireAll(t.Context(), keys...); !errors.As(err, &bad) {
				t.Errorf("%s: %v", what, err)
			}
		}
		must(locks.AcquireAll(t.Context(), many[1:]...))
	})
}
