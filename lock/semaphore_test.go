package lock_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/lock"
)

func newSemaphore(t *testing.T, be *memorybackend.Backend, limit int64, o *lock.Options) *lock.Semaphore {
	t.Helper()
	s, err := lock.NewSemaphore(be.Leases(), limit, quiet(o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

func TestSemaphoreKeepsItsLimit(t *testing.T) {
	bubble(t, nil, func(t *testing.T, be *memorybackend.Backend, _ *lock.Locker) {
		s := newSemaphore(t, be, 4, nil)
		var mu sync.Mutex
		var used, most int64
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				weight := int64(1 + i%4)
				err := s.Do(t.Context(), "k", weight, func(_ context.Context, share *lock.Share) error {
					mu.Lock()
					used += share.Weight()
					most = max(most, used)
					mu.Unlock()
					time.Sleep(10 * time.Millisecond)
					mu.Lock()
					used -= weight
					mu.Unlock()
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if most != 4 {
			t.Errorf("at most %d of 4 were used", most)
		}
	})
}

func TestHeavyClaimIsNotOvertaken(t *testing.T) {
	bubble(t, nil, func(t *testing.T, be *memorybackend.Backend, _ *lock.Locker) {
		s := newSemaphore(t, be, 3, nil)
		ctx := t.Context()
		first := must(s.Acquire(ctx, "k", 1))
		done := make(chan *lock.Share, 1)
		go func() { done <- must(s.Acquire(ctx, "k", 3)) }()
		synctest.Wait()
		if _, err := s.TryAcquire(ctx, "k", 1); !errors.Is(err, lock.ErrHeld) {
			t.Errorf("a light claim overtook: %v", err)
		}
		_ = first.Release(ctx)
		heavy := <-done
		_ = heavy.Release(ctx)
	})
}

func TestResize(t *testing.T) {
	bubble(t, nil, func(t *testing.T, be *memorybackend.Backend, _ *lock.Locker) {
		ctx := t.Context()
		a, b := newSemaphore(t, be, 2, nil), newSemaphore(t, be, 2, nil)
		s1, s2 := must(a.Acquire(ctx, "k", 1)), must(b.Acquire(ctx, "k", 1))

		if err := a.Resize(3, 1); err != nil {
			t.Fatal(err)
		}
		s3 := must(a.TryAcquire(ctx, "k", 1))
		_, err := b.TryAcquire(ctx, "k", 1)
		var conflict *lock.ConflictError
		if !errors.As(err, &conflict) || conflict.Limit != 3 || conflict.Wanted != 2 {
			t.Errorf("an old limit: %v", err)
		}

		if err := b.Resize(1, 2); err != nil {
			t.Fatal(err)
		}
		granted := make(chan *lock.Share, 1)
		go func() { granted <- must(b.Acquire(ctx, "k", 1)) }()
		for _, s := range []*lock.Share{s1, s2, s3} {
			synctest.Wait()
			if len(granted) > 0 {
				t.Error("granted beyond the smaller limit")
			}
			if s.Context().Err() != nil {
				t.Error("a smaller limit ended a share")
			}
			_ = s.Release(ctx)
		}
		_ = (<-granted).Release(ctx)
	})
}

// A waiter that has become too heavy for the limit is told, and does not block the others.
func TestResizeBelowAWaiter(t *testing.T) {
	bubble(t, nil, func(t *testing.T, be *memorybackend.Backend, _ *lock.Locker) {
		ctx := t.Context()
		a, b := newSemaphore(t, be, 3, nil), newSemaphore(t, be, 3, nil)
		must(a.Acquire(ctx, "k", 1))
		failed := make(chan error, 1)
		go func() { _, err := a.Acquire(ctx, "k", 3); failed <- err }()
		synctest.Wait()
		if err := b.Resize(2, 1); err != nil {
			t.Fatal(err)
		}
		must(b.Acquire(ctx, "k", 1))
		var conflict *lock.ConflictError
		if err := <-failed; !errors.As(err, &conflict) || conflict.Limit != 2 {
			t.Errorf("%v", err)
		}
	})
}

func TestSemaphoreArguments(t *testing.T) {
	bubble(t, nil, func(t *testing.T, be *memorybackend.Backend, _ *lock.Locker) {
		invalid := func(what string, err error, field string) {
			t.Helper()
			var bad *lock.InvalidError
			if !errors.As(err, &bad) || bad.Field != field {
				t.Errorf("%s: %v, want %s", what, err, field)
			}
		}
		_, err := lock.NewSemaphore(be.Leases(), 0, &lock.Options{TTL: time.Millisecond})
		invalid("limit 0", err, "TTL")
		if !strings.Contains(err.Error(), "limit must be 1 to 2147483647") {
			t.Errorf("all problems at once: %v", err)
		}
		s := newSemaphore(t, be, 2, nil)
		for _, weight := range []int64{0, -1, 3, lease.MaxWeight} {
			_, err := s.Acquire(t.Context(), "k", weight)
			invalid("weight", err, "weight")
		}
		invalid("limit", s.Resize(0, 1), "limit")
		invalid("epoch", s.Resize(1, -1), "epoch")
		_, err = s.Acquire(t.Context(), "", 1)
		invalid("key", err, "key")
	})
}
