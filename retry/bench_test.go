package retry_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/concord-go/concord/retry"
)

func newRetrier(tb testing.TB, o *retry.Options) *retry.Retrier {
	tb.Helper()
	r, err := retry.New("server", o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return r
}

func answer(context.Context, retry.Attempt) (int, error) { return 42, nil }

// BenchmarkFirstAttemptSucceeds measures what a call pays that needs nothing of this package. ns/op is
// the time of one call of one goroutine.
func BenchmarkFirstAttemptSucceeds(b *testing.B) {
	for _, goroutines := range []int{1, 8} {
		b.Run(strconv.Itoa(goroutines), func(b *testing.B) {
			r := newRetrier(b, nil)
			ctx := context.Background()
			b.ReportAllocs()
			b.ResetTimer()
			var all sync.WaitGroup
			for range goroutines {
				all.Go(func() {
					for range b.N / goroutines {
						if _, err := retry.Do(ctx, r, answer); err != nil {
							b.Error(err)
						}
					}
				})
			}
			all.Wait()
		})
	}
}

// BenchmarkDeposit measures the same while the budget is never full, so that each call writes it.
func BenchmarkDeposit(b *testing.B) {
	budget, err := retry.NewBudget("server", &retry.BudgetOptions{Capacity: 100_000, Ratio: 0.001})
	if err != nil {
		b.Fatal(err)
	}
	r := newRetrier(b, &retry.Options{Budget: budget, Backoff: retry.Constant(0), MaxAttempts: 100})
	ctx := context.Background()
	drain(b, r)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := retry.Do(ctx, r, answer); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPermanent measures a call that fails at once, with its error.
func BenchmarkPermanent(b *testing.B) {
	r := newRetrier(b, nil)
	ctx := context.Background()
	notFound := retry.Permanent(errors.New("not found"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := retry.Do(ctx, r, func(context.Context, retry.Attempt) (int, error) { return 0, notFound }); err == nil {
			b.Fatal("no error")
		}
	}
}

// BenchmarkHedge measures a call of Hedge whose first attempt succeeds.
func BenchmarkHedge(b *testing.B) {
	r := newRetrier(b, nil)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := retry.Hedge(ctx, r, answer); err != nil {
			b.Fatal(err)
		}
	}
}

// drain empties the budget of r with calls that fail.
func drain(tb testing.TB, r *retry.Retrier) {
	tb.Helper()
	refused := errors.New("refused")
	for {
		_, err := retry.Do(tb.Context(), r, func(context.Context, retry.Attempt) (int, error) {
			return 0, retry.Mark(refused, retry.ClassTransient)
		})
		var gone *retry.ExhaustedError
		if !errors.As(err, &gone) {
			tb.Fatal(err)
		}
		if gone.Reason == retry.BudgetExhausted {
			return
		}
	}
}
