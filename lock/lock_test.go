package lock_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/lock"
)

// bubble runs f in virtual time with a Locker on a fresh memory backend.
func bubble(t *testing.T, o *lock.Options, f func(*testing.T, *memorybackend.Backend, *lock.Locker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if o == nil {
			o = &lock.Options{Hooks: &lock.Hooks{}}
		}
		be, locks := newLocker(t, o)
		f(t, be, locks)
	})
}

func mustAcquire(t *testing.T, locks *lock.Locker, key string) *lock.Lease {
	t.Helper()
	l, err := locks.Acquire(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func lostCause(err error) lock.Cause {
	var lost *lock.LostError
	if errors.As(err, &lost) {
		return lost.Cause
	}
	return 0
}

func TestDoReturnsTheErrorOfItsFunc(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *memorybackend.Backend, locks *lock.Locker) {
		boom := errors.New("boom")
		if err := locks.Do(t.Context(), "k", func(context.Context, *lock.Lease) error { return boom }); err != boom {
			t.Errorf("Do: %v, want the error itself", err)
		}
		mustAcquire(t, locks, "k") // was released
	})
}

func TestDoReleasesOnPanicAndGoexit(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *memorybackend.Backend, locks *lock.Locker) {
		func() {
			defer func() {
				if recover() != "boom" {
					t.Error("the panic did not pass through")
				}
			}()
			_ = locks.Do(t.Context(), "k", func(context.Context, *lock.Lease) error { panic("boom") })
		}()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = locks.Do(t.Context(), "k", func(context.Context, *lock.Lease) error { runtime.Goexit(); return nil })
		}()
		<-done
		if _, err := locks.TryAcquire(t.Context(), "k"); err != nil {
			t.Errorf("still held: %v", err)
		}
	})
}

func TestDoEndsItsContextOnLoss(t *testing.T) {
	bubble(t, nil, func(t *testing.T, be *memorybackend.Backend, locks *lock.Locker) {
		err := locks.Do(t.Context(), "k", func(ctx context.Context, l *lock.Lease) error {
			be.Control().Lose("k")
			<-ctx.Done()
			if c := lostCause(context.Cause(ctx)); c != lock.BackendLost {
				t.Errorf("cause %v, want backend lost", c)
			}
			return nil
		})
		if !errors.Is(err, lock.ErrLost) {
			t.Errorf("Do: %v, want lost although its func returned nil", err)
		}
	})
}

func TestDoNoticesALossAtTheReleaseOnly(t *testing.T) {
	bubble(t, nil, func(t *testing.T, be *memorybackend.Backend, locks *lock.Locker) {
		err := locks.Do(t.Context(), "k", func(context.Context, *lock.Lease) error {
			be.Control().Lose("k") // and returns before the next renewal
			return nil
		})
		if !errors.Is(err, lock.ErrLost) || !strings.Contains(err.Error(), `"k"`) {
			t.Errorf("Do: %v, want lost, naming the key", err)
		}
	})
}

func TestDoEndsItsContextWithTheCallers(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *memorybackend.Backend, locks *lock.Locker) {
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("shutting down")
		err := locks.Do(ctx, "k", func(ctx context.Context, l *lock.Lease) error {
			cancel(why)
			<-ctx.Done()
			if context.Cause(ctx) != why {
				t.Errorf("cause %v, want the caller's", context.Cause(ctx))
			}
			if l.Context().Err() != nil {
				t.Error("the caller's end ended the lease itself")
			}
			return ctx.Err()
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Do: %v", err)
		}
		mustAcquire(t, locks, "k")
	})
}

func TestLeaseContextKeepsValues(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *memorybackend.Backend, locks *lock.Locker) {
		type name struct{}
		l, err := locks.Acquire(context.WithValue(t.Context(), name{}, "v"), "k")
		if err != nil {
			t.Fatal(err)
		}
		if l.Context().Value(name{}) != "v" {
			t.Error("the values of the acquire's context are gone")
		}
	})
}

func TestTryAcquireTellsTheHolder(t *testing.T) {
	bubble(t, &lock.Options{Owner: "me", Meta: []byte("v1"), TTL: 9 * time.Second}, func(t *testing.T, _ *memorybackend.Backend, locks *lock.Locker) {
		l := mustAcquire(t, locks, "k")
		time.Sleep(time.Second)
		_, err := locks.TryAcquire(t.Context(), "k")
		var held *lock.HeldError
		if !errors.As(err, &held) || !errors.Is(err, lock.ErrHeld) {
			t.Fatalf("try: %v, want held", err)
		}
		if held.Owner != "me" || string(held.Meta) != "v1" || held.Token != l.Token() || held.RetryAfter() != 8*time.Second {
			t.Errorf("holder %+v, want me, v1, %v, 8s", held, l.Token())
		}
	})
}

func TestDeadlineOfTheCallerWhileWaiting(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *memorybackend.Backend, locks *lock.Locker) {
		mustAcquire(t, locks, "k")
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		_, err := locks.Acquire(ctx, "k")
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, lock.ErrUncertain) {
			t.Errorf("acquire: %v, want the deadline and no uncertainty", err)
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("returned after %v, want 3s", d)
		}
		synctest.Wait()
		s, err := locks.Inspect(t.Context(), "k")
		if err != nil || s.Waiting != 0 || s.Holder == nil {
			t.Errorf("state %+v, %v; want the holder and no waiter", s, err)
		}
	})
}

func TestInspect(t *testing.T) {
	bubble(t, &lock.Options{Owner: "me", Epoch: 3}, func(t *testing.T, be *memorybackend.Backend, locks *lock.Locker) {
		l := mustAcquire(t, locks, "k")
		if l.Token().Epoch() != 3 {
			t.Errorf("epoch of %v is %d, want 3", l.Token(), l.Token().Epoch())
		}
		other, err := lock.New(be.Leases(), &lock.Options{Owner: "you", Epoch: 3})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = other.Close(context.Background()) }()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _, _ = other.Acquire(ctx, "k") }()
		synctest.Wait()
		s, err := locks.Inspect(t.Context(), "k")
		if err != nil || s.Holder == nil || len(s.Waiters) != 1 {
			t.Fatalf("state %+v, %v; want a holder and a waiter", s, err)
		}
		if s.Holder.Owner != "me" || s.Holder.Token != l.Token() || s.Waiters[0].Owner != "you" || s.Waiters[0].Token != 0 {
			t.Errorf("state %+v %+v", s.Holder, s.Waiters)
		}
		if err := l.Release(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestRevoke(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *memorybackend.Backend, locks *lock.Locker) {
		l := mustAcquire(t, locks, "k")
		if err := locks.Revoke(t.Context(), "k", l.Token()+1, nil); !errors.Is(err, lock.ErrNotHeld) {
			t.Errorf("revoke of another token: %v, want not held", err)
		}
		other, err := fence.MakeToken(7, l.Token().Sequence())
		if err != nil {
			t.Fatal(err)
		}
		if err := locks.Revoke(t.Context(), "k", other, nil); !errors.Is(err, lock.ErrNotHeld) {
			t.Errorf("revoke of another epoch: %v, want not held", err)
		}
		if err := locks.Revoke(t.Context(), "k", l.Token(), &lock.RevokeOptions{Reason: "r"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if c := lostCause(context.Cause(l.Context())); c != lock.Revoked {
			t.Errorf("cause %v, want revoked", c)
		}
		if err := l.Release(t.Context()); !errors.Is(err, lock.ErrNotHeld) || lostCause(err) != lock.Revoked {
			t.Errorf("release: %v, want not held, revoked", err)
		}
	})
}

func TestConflictingLimit(t *testing.T) {
	bubble(t, nil, func(t *testing.T, be *memorybackend.Backend, locks *lock.Locker) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		a, err := be.Leases().Acquire(ctx, lease.Claim{
			Key: "k", Attempt: lease.NewAttempt(), TTL: time.Minute, Weight: 1, Limit: 5})
		if err != nil || a.Status != lease.Granted {
			t.Fatal(a, err)
		}
		_, err = locks.Acquire(t.Context(), "k")
		var conflict *lock.ConflictError
		if !errors.As(err, &conflict) || conflict.Limit != 5 || !errors.Is(err, lock.ErrConflict) {
			t.Errorf("acquire: %v, want a conflict with limit 5", err)
		}
		s, err := locks.Inspect(t.Context(), "k")
		if err != nil || s.Waiting != 0 {
			t.Errorf("left behind: %+v, %v", s, err)
		}
	})
}

func TestBadInput(t *testing.T) {
	be, locks := newLocker(t, nil)
	long := strings.Repeat("x", lease.MaxKey+1)
	ctx := t.Context()
	valid := fence.Token(1)
	for name, c := range map[string]struct {
		err   error
		field string
	}{
		"empty key":        {second(locks.Acquire(ctx, "")), "key"},
		"long key":         {second(locks.Acquire(ctx, long)), "key"},
		"try empty key":    {second(locks.TryAcquire(ctx, "")), "key"},
		"do long key":      {locks.Do(ctx, long, nil), "key"},
		"inspect long key": {second(locks.Inspect(ctx, long)), "key"},
		"revoke key":       {locks.Revoke(ctx, "", valid, nil), "key"},
		"revoke token":     {locks.Revoke(ctx, "k", 0, nil), "token"},
		"revoke reason":    {locks.Revoke(ctx, "k", valid, &lock.RevokeOptions{Reason: long}), "Reason"},
		"revoke grace":     {locks.Revoke(ctx, "k", valid, &lock.RevokeOptions{Grace: -1}), "Grace"},
		"nil backend":      {second(lock.New(nil, nil)), "backend"},
		"nil pointer":      {second(lock.New((*nowhere)(nil), nil)), "backend"},
		"short TTL":        {second(lock.New(be.Leases(), &lock.Options{TTL: time.Millisecond})), "TTL"},
		"long TTL":         {second(lock.New(be.Leases(), &lock.Options{TTL: 25 * time.Hour})), "TTL"},
		"negative TTL":     {second(lock.New(be.Leases(), &lock.Options{TTL: -time.Second})), "TTL"},
		"margin":           {second(lock.New(be.Leases(), &lock.Options{TTL: time.Second, Margin: time.Second})), "Margin"},
		"claim window":     {second(lock.New(be.Leases(), &lock.Options{TTL: time.Second, ClaimWindow: 2 * time.Second})), "ClaimWindow"},
		"owner":            {second(lock.New(be.Leases(), &lock.Options{Owner: long})), "Owner"},
		"meta":             {second(lock.New(be.Leases(), &lock.Options{Meta: make([]byte, lease.MaxMeta+1)})), "Meta"},
		"epoch":            {second(lock.New(be.Leases(), &lock.Options{Epoch: 1024})), "Epoch"},
	} {
		if !errors.Is(c.err, lock.ErrInvalid) && !errors.Is(c.err, fence.ErrInvalid) {
			t.Errorf("%s: %v, want invalid", name, c.err)
			continue
		}
		if !strings.Contains(c.err.Error(), c.field+" must") {
			t.Errorf("%s: %q does not name %s and its limit", name, c.err, c.field)
		}
	}
	_, err := lock.New(be.Leases(), &lock.Options{TTL: 1, Epoch: -1, Owner: long})
	for _, field := range []string{"TTL", "Epoch", "Owner"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%q does not name %s: all problems at once", err, field)
		}
	}
}

type nowhere struct{ lease.Backend }

func second[T any](_ T, err error) error { return err }

func TestClosed(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *memorybackend.Backend, locks *lock.Locker) {
		l := mustAcquire(t, locks, "k")
		if err := locks.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c := lostCause(context.Cause(l.Context())); c != lock.Closed {
			t.Errorf("cause %v, want closed", c)
		}
		if err := l.Release(t.Context()); err != nil {
			t.Errorf("release after close: %v; Close released it", err)
		}
		for op, err := range map[string]error{
			"acquire": second(locks.Acquire(t.Context(), "k")),
			"try":     second(locks.TryAcquire(t.Context(), "k")),
			"do":      locks.Do(t.Context(), "k", nil),
			"inspect": second(locks.Inspect(t.Context(), "k")),
			"revoke":  locks.Revoke(t.Context(), "k", l.Token(), nil),
		} {
			if !errors.Is(err, lock.ErrClosed) {
				t.Errorf("%s: %v, want closed", op, err)
			}
		}
	})
}

// TestLostUpdates counts what a paused holder's late write destroys, with and without the fence.
func TestLostUpdates(t *testing.T) {
	for _, fenced := range []bool{true, false} {
		bubble(t, nil, func(t *testing.T, be *memorybackend.Backend, locks *lock.Locker) {
			guard := be.Guard()
			counter, made := 0, 0
			var mu sync.Mutex // the store is atomic, as a server is
			write := func(token fence.Token, n int) {
				store := func() error {
					mu.Lock()
					defer mu.Unlock()
					counter, made = n, made+1
					return nil
				}
				if fenced {
					_ = guard.Do(t.Context(), "counter", token, store)
				} else {
					_ = store()
				}
			}
			read := func(token fence.Token) int {
				if fenced {
					_ = guard.Raise(t.Context(), "counter", token)
				}
				mu.Lock()
				defer mu.Unlock()
				return counter
			}
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					for range 20 {
						l := mustAcquire(t, locks, "k")
						n := read(l.Token())
						if i == 0 {
							be.Control().ExpireNow("k") // it is paused here, for longer than its lease
							time.Sleep(time.Second)
						}
						time.Sleep(time.Millisecond)
						write(l.Token(), n+1)
						_ = l.Release(t.Context())
					}
				})
			}
			wg.Wait()
			switch {
			case fenced && counter != made:
				t.Errorf("with fencing: %d additions made, counter %d", made, counter)
			case !fenced && counter == made:
				t.Errorf("without fencing nothing was lost in %d additions: the test shows nothing", made)
			}
			t.Logf("fenced %v: %d additions made, %d lost", fenced, made, made-counter)
		})
	}
}
