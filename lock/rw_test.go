package lock_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/lock"
)

// rwBubble runs f in virtual time with two RWLockers, as two processes have them.
func rwBubble(t *testing.T, o *lock.Options, f func(t *testing.T, a, b *lock.RWLocker)) {
	t.Helper()
	bubble(t, nil, func(t *testing.T, be *memorybackend.Backend, _ *lock.Locker) {
		var both [2]*lock.RWLocker
		for i := range both {
			l, err := lock.NewRW(be.Leases(), quiet(o))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close(context.Background()) })
			both[i] = l
		}
		f(t, both[0], both[1])
	})
}

// quiet returns the options with silent hooks.
func quiet(o *lock.Options) *lock.Options {
	var opt lock.Options
	if o != nil {
		opt = *o
	}
	opt.Hooks = &lock.Hooks{}
	return &opt
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestReadersShareAndWritersDoNot(t *testing.T) {
	rwBubble(t, nil, func(t *testing.T, a, b *lock.RWLocker) {
		ctx := t.Context()
		r1, r2 := must(a.AcquireRead(ctx, "k")), must(b.AcquireRead(ctx, "k"))
		var held *lock.HeldError
		if _, err := b.TryAcquireWrite(ctx, "k"); !errors.As(err, &held) {
			t.Fatalf("a writer beside readers: %v", err)
		}
		if err := errors.Join(r1.Release(ctx), r2.Release(ctx)); err != nil {
			t.Fatal(err)
		}
		w := must(b.TryAcquireWrite(ctx, "k"))
		for _, try := range []func() error{
			func() error { _, err := a.TryAcquireRead(ctx, "k"); return err },
			func() error { _, err := a.TryAcquireWrite(ctx, "k"); return err },
		} {
			if err := try(); !errors.Is(err, lock.ErrHeld) {
				t.Errorf("beside a writer: %v", err)
			}
		}
		next := must(a.Inspect(ctx, "k"))
		if len(next.Holders) != 1 || next.Holders[0].Weight != lease.MaxWeight || next.Holders[0].Token != w.Token() {
			t.Errorf("state %+v", next)
		}
		if err := w.Release(ctx); err != nil {
			t.Error(err)
		}
	})
}

func TestWriterIsNotStarvedByReaders(t *testing.T) {
	rwBubble(t, nil, func(t *testing.T, a, b *lock.RWLocker) {
		ctx := t.Context()
		first := must(a.AcquireRead(ctx, "k"))
		var wrote time.Duration
		var wg sync.WaitGroup
		wg.Go(func() {
			w := must(b.AcquireWrite(ctx, "k"))
			wrote = time.Since(first.Deadline())
			time.Sleep(time.Second)
			_ = w.Release(ctx)
		})
		synctest.Wait()
		if _, err := a.TryAcquireRead(ctx, "k"); !errors.Is(err, lock.ErrHeld) {
			t.Errorf("a reader got in before the writer that waits: %v", err)
		}
		for range 5 { // a stream of readers, each of which overlaps with the one before it
			wg.Go(func() {
				r := must(a.AcquireRead(ctx, "k"))
				if wrote == 0 {
					t.Error("a reader that came later was served before the writer")
				}
				_ = r.Release(ctx)
			})
			time.Sleep(100 * time.Millisecond)
		}
		_ = first.Release(ctx)
		wg.Wait()
	})
}

// A reader that dies blocks a writer for the rest of its TTL and no longer.
func TestDeadReaderDoesNotBlockAWriter(t *testing.T) {
	rwBubble(t, &lock.Options{TTL: 9 * time.Second, NoRenew: true}, func(t *testing.T, a, b *lock.RWLocker) {
		ctx := t.Context()
		start := time.Now()
		must(a.AcquireRead(ctx, "k")) // never released, never renewed: its process has died
		w := must(b.AcquireWrite(ctx, "k"))
		if d := time.Since(start); d < 9*time.Second || d > 12*time.Second {
			t.Errorf("granted after %v, want about the TTL of 9s", d)
		}
		_ = w.Release(ctx)
	})
}

func TestDowngrade(t *testing.T) {
	rwBubble(t, nil, func(t *testing.T, a, b *lock.RWLocker) {
		ctx := t.Context()
		w := must(a.AcquireWrite(ctx, "k"))
		token := w.Token()
		var reading, writing sync.WaitGroup
		var reads *lock.Share
		reading.Go(func() { reads = must(b.AcquireRead(ctx, "k")) })
		synctest.Wait()
		writing.Go(func() {
			second := must(b.AcquireWrite(ctx, "k"))
			if second.Token() <= token {
				t.Errorf("token %v after %v", second.Token(), token)
			}
			_ = second.Release(ctx)
		})
		synctest.Wait()
		r, err := w.Downgrade(ctx)
		if err != nil {
			t.Fatal(err)
		}
		reading.Wait() // lets the reader that waits in, and not the writer behind it
		if r.Weight() != 1 || w.Token() != token || r.Context().Err() != nil {
			t.Errorf("weight %d, token %v, %v", r.Weight(), w.Token(), r.Context().Err())
		}
		if _, err := w.Downgrade(ctx); err != nil {
			t.Errorf("a second time: %v", err)
		}
		if err := errors.Join(reads.Release(ctx), r.Release(ctx)); err != nil {
			t.Error(err)
		}
		writing.Wait()
		if err := w.Release(ctx); err != nil {
			t.Errorf("a release of the lease is that of the share: %v", err)
		}
	})
}

func TestDowngradeOfALostLease(t *testing.T) {
	bubble(t, nil, func(t *testing.T, be *memorybackend.Backend, _ *lock.Locker) {
		locks := must(lock.NewRW(be.Leases(), quiet(nil)))
		defer func() { _ = locks.Close(context.Background()) }()
		w := must(locks.AcquireWrite(t.Context(), "k"))
		be.Control().Lose("k")
		if _, err := w.Downgrade(t.Context()); !errors.Is(err, lock.ErrNotHeld) {
			t.Errorf("%v", err)
		}
		if c := lostCause(context.Cause(w.Context())); c != lock.BackendLost {
			t.Errorf("cause %v", c)
		}
	})
}

func TestDoReadAndDoWrite(t *testing.T) {
	rwBubble(t, nil, func(t *testing.T, a, b *lock.RWLocker) {
		ctx := t.Context()
		boom := errors.New("boom")
		err := a.DoRead(ctx, "k", func(ctx context.Context, s *lock.Share) error {
			return b.DoRead(ctx, "k", func(context.Context, *lock.Share) error { return boom })
		})
		if err != boom {
			t.Error(err)
		}
		err = a.DoWrite(ctx, "k", func(ctx context.Context, w *lock.WriteLease) error {
			if _, err := b.TryAcquireRead(ctx, "k"); !errors.Is(err, lock.ErrHeld) {
				t.Errorf("beside a writer: %v", err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		must(b.TryAcquireWrite(ctx, "k"))
	})
}

func TestKindsDoNotMix(t *testing.T) {
	bubble(t, nil, func(t *testing.T, be *memorybackend.Backend, locks *lock.Locker) {
		rw := must(lock.NewRW(be.Leases(), quiet(nil)))
		defer func() { _ = rw.Close(context.Background()) }()
		mustAcquire(t, locks, "k")
		_, err := rw.AcquireRead(t.Context(), "k")
		var conflict *lock.ConflictError
		if !errors.As(err, &conflict) || !errors.Is(err, lock.ErrConflict) || conflict.Limit != 1 || conflict.Wanted != lease.MaxWeight {
			t.Errorf("%v", err)
		}
	})
}
