package lock_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/lock"
)

func newLocker(tb testing.TB, o *lock.Options) (*memorybackend.Backend, *lock.Locker) {
	tb.Helper()
	be, err := memorybackend.New(nil)
	if err != nil {
		tb.Fatal(err)
	}
	locks, err := lock.New(be.Leases(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := locks.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return be, locks
}

func BenchmarkUncontended(b *testing.B) {
	_, locks := newLocker(b, nil)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		l, err := locks.Acquire(ctx, "k")
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Release(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHandOff measures grants of one key for which processes wait in line: the time of one
// operation is the time between two grants.
func BenchmarkHandOff(b *testing.B) {
	for _, waiters := range []int{16, 64} {
		b.Run(strconv.Itoa(waiters), func(b *testing.B) {
			be, err := memorybackend.New(nil)
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			grants := make(chan struct{})
			done := make(chan struct{})
			for range waiters {
				locks, err := lock.New(be.Leases(), nil)
				if err != nil {
					b.Fatal(err)
				}
				go func() {
					defer func() { _ = locks.Close(context.Background()); done <- struct{}{} }()
					for ctx.Err() == nil {
						_ = locks.Do(ctx, "k", func(ctx context.Context, _ *lock.Lease) error {
							select {
							case grants <- struct{}{}:
							case <-ctx.Done():
							}
							return nil
						})
					}
				}()
			}
			b.ReportAllocs()
			for b.Loop() {
				<-grants
			}
			b.StopTimer()
			cancel()
			for range waiters {
				<-done
			}
		})
	}
}
