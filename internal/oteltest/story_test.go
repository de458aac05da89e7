package oteltest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/concordotel"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lock"
)

// secret is in everything that a program names: keys, elections, candidates, groups, members, owner,
// addresses, zones, metadata, reasons, resources, Retriers, budgets, breakers.
const secret = "marker-5e1f"

const ttl = 9 * time.Second

// story is a run of locks, elections, groups, limits, attempts, breakers and marks in virtual time, in which all
// that is measured happens. f runs after it.
func story(t *testing.T, f func(t *testing.T, e *exporter)) {
	t.Helper()
	namedStory(t, "", f)
}

// namedStory is a story with a name in the options.
func namedStory(t *testing.T, name string, f func(t *testing.T, e *exporter)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := newExporter()
		e.name = name
		be, err := memorybackend.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		hooks, err := concordotel.Lock(e.options())
		if err != nil {
			t.Fatal(err)
		}
		o := &lock.Options{TTL: ttl, Owner: secret, Meta: []byte(secret), Hooks: hooks}
		locks, err := lock.New(be.Leases(), o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, request := e.tracer.Tracer("program").Start(t.Context(), "request")
		exclusive(t, ctx, be, locks)
		losses(t, ctx, be, locks)
		unanswered(t, ctx, be, locks)
		shared(t, ctx, be, o)
		mustAcquire(t, ctx, locks, "closed")
		if err := locks.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := locks.Acquire(ctx, secret); !errors.Is(err, lock.ErrClosed) {
			t.Errorf("acquire after Close = %v", err)
		}
		elections(t, ctx, be, e.options())
		groups(t, ctx, be, e.options())
		rates(t, ctx, be, e.options())
		retries(t, ctx, e.options())
		breakers(t, ctx, e.options())
		marks(t, ctx, be, e.options())
		request.End()
		if err := be.Close(t.Context()); err != nil {
			t.Error(err)
		}
		f(t, e)
	})
}

// exclusive: a hold of 4 s that is renewed, a refusal, a wait that is given up, several keys.
func exclusive(t *testing.T, ctx context.Context, be *memorybackend.Backend, locks *lock.Locker) {
	l := mustAcquire(t, ctx, locks, "held")
	if _, err := locks.TryAcquire(ctx, key("held")); !errors.Is(err, lock.ErrHeld) {
		t.Errorf("try = %v", err)
	}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := locks.Acquire(short, key("held")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("acquire = %v", err)
	}
	be.Control().FailNext(1, nil) // the renewal at 3 s; the next one is on time
	time.Sleep(3*time.Second + 900*time.Millisecond)
	mustRelease(t, ctx, l)
	both, err := locks.AcquireAll(ctx, key("a"), key("b"))
	if err != nil {
		t.Fatal(err)
	}
	if err := both.Release(ctx); err != nil {
		t.Error(err)
	}
}

// losses: each cause that a test can bring about without stopping the clock.
func losses(t *testing.T, ctx context.Context, be *memorybackend.Backend, locks *lock.Locker) {
	l := mustAcquire(t, ctx, locks, "revoked")
	be.Control().Revoke(key("revoked"), secret)
	synctest.Wait()
	if err := l.Release(ctx); !errors.Is(err, lock.ErrNotHeld) {
		t.Errorf("release = %v", err)
	}
	l = mustAcquire(t, ctx, locks, "lost")
	be.Control().Lose(key("lost"))
	<-l.Context().Done()
	l = mustAcquire(t, ctx, locks, "unreachable")
	be.Control().FailNext(1<<30, nil)
	<-l.Context().Done()
	be.Control().FailNext(0, nil)
}

// unanswered: an acquire and a release that nobody answers, and their clean-ups, one of which is
// given up.
func unanswered(t *testing.T, ctx context.Context, be *memorybackend.Backend, locks *lock.Locker) {
	l := mustAcquire(t, ctx, locks, "silent")
	be.Control().LoseNext(1<<30, nil)
	if err := l.Release(ctx); !errors.Is(err, lock.ErrUncertain) {
		t.Errorf("release = %v", err)
	}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := locks.Acquire(short, key("silent too")); !errors.Is(err, lock.ErrUncertain) {
		t.Errorf("acquire = %v", err)
	}
	time.Sleep(2 * ttl)
	if _, err := locks.Acquire(ctx, key("silent too")); !errors.Is(err, lock.ErrUnavailable) {
		t.Errorf("acquire = %v", err)
	}
	be.Control().LoseNext(0, nil)
	time.Sleep(2 * ttl)
}

// shared: every other kind of lock.
func shared(t *testing.T, ctx context.Context, be *memorybackend.Backend, o *lock.Options) {
	rw, err := lock.NewRW(be.Leases(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := rw.DoWrite(ctx, key("rw"), func(context.Context, *lock.WriteLease) error { return nil }); err != nil {
		t.Error(err)
	}
	read, err := rw.AcquireRead(ctx, key("rw"))
	if err != nil {
		t.Fatal(err)
	}
	downloads, err := lock.NewSemaphore(be.Leases(), 2, o)
	if err != nil {
		t.Fatal(err)
	}
	permit, err := downloads.Acquire(ctx, key("downloads"), 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := downloads.Acquire(ctx, key("rw"), 1); !errors.Is(err, lock.ErrConflict) {
		t.Errorf("acquire = %v", err)
	}
	mustRelease(t, ctx, read)
	mustRelease(t, ctx, permit)
	if err := errors.Join(rw.Close(ctx), downloads.Close(ctx)); err != nil {
		t.Error(err)
	}
}

// marks: a raise of each outcome, and a guarded write that is fenced out.
func marks(t *testing.T, ctx context.Context, be *memorybackend.Backend, o *concordotel.Options) {
	m, err := concordotel.Marks(be.Fences(), o)
	if err != nil {
		t.Fatal(err)
	}
	fenced, err := concordotel.Fenced(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Raise(ctx, secret, 34); err != nil {
		t.Error(err)
	}
	if err := m.Raise(ctx, secret, 33); !errors.Is(err, fence.ErrFenced) {
		t.Errorf("raise = %v", err)
	}
	if err := m.Raise(ctx, secret, 0); !errors.Is(err, fence.ErrInvalid) {
		t.Errorf("raise = %v", err)
	}
	be.Control().FailNext(1, nil)
	if err := m.Raise(ctx, secret, 35); !errors.Is(err, lock.ErrUnavailable) {
		t.Errorf("raise = %v", err)
	}
	if mark, err := m.Mark(ctx, secret); mark != 34 || err != nil {
		t.Errorf("mark = %v, %v", mark, err)
	}
	if err := fenced(ctx, be.Guard().Do(ctx, secret, 33, func() error { return nil })); !errors.Is(err, fence.ErrFenced) {
		t.Errorf("guarded = %v", err)
	}
	if err := fenced(ctx, nil); err != nil {
		t.Errorf("guarded = %v", err)
	}
}

func key(name string) string { return secret + "/" + name }

func mustAcquire(t *testing.T, ctx context.Context, locks *lock.Locker, name string) *lock.Lease {
	t.Helper()
	l, err := locks.Acquire(ctx, key(name))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustRelease(t *testing.T, ctx context.Context, l interface{ Release(context.Context) error }) {
	t.Helper()
	if err := l.Release(ctx); err != nil {
		t.Error(err)
	}
}
