package peerbench

import (
	"context"
	"testing"
	"time"

	avast "github.com/avast/retry-go/v5"
	"github.com/cenkalti/backoff/v5"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	sethvargo "github.com/sethvargo/go-retry"

	"github.com/concord-go/concord/retry"
)

// BenchmarkRetry compares calls whose first attempt succeeds.
func BenchmarkRetry(b *testing.B) {
	overhead(b, retrier(b), failsafeRetry(), cenkaltiRetry(), avastRetry(), avastOnce(), sethvargoRetry())
}

// retrier has a budget, as all have that do not refuse it.
func retrier(b *testing.B) wrapper {
	r, err := retry.New("server", nil)
	if err != nil {
		b.Fatal(err)
	}
	once := func(context.Context, retry.Attempt) (int, error) { return 1, nil }
	return wrapper{"concord", func(ctx context.Context, n int) error {
		for range n {
			if _, err := retry.Do(ctx, r, once); err != nil {
				return err
			}
		}
		return nil
	}}
}

func failsafeRetry() wrapper {
	return failsafeCalls(failsafe.With(retrypolicy.NewWithDefaults[int]()), nil)
}

// failsafeCalls gives each call its context, which takes a copy of the executor, and wants each to end
// with an error that is want.
func failsafeCalls(e failsafe.Executor[int], want error) wrapper {
	once := func() (int, error) { return 1, nil }
	return wrapper{"failsafe", func(ctx context.Context, n int) error {
		for range n {
			if _, err := e.WithContext(ctx).Get(once); err != want {
				return err
			}
		}
		return nil
	}}
}

func cenkaltiRetry() wrapper {
	once := func() (int, error) { return 1, nil }
	return wrapper{"cenkalti", func(ctx context.Context, n int) error {
		for range n {
			if _, err := backoff.Retry(ctx, once); err != nil {
				return err
			}
		}
		return nil
	}}
}

// avastRetry makes its retrier once, as its documentation advises for many calls. So it cannot be
// given the context of each call.
func avastRetry() wrapper {
	r := avast.NewWithData[int]()
	once := func() (int, error) { return 1, nil }
	return wrapper{"avast", func(_ context.Context, n int) error {
		for range n {
			if _, err := r.Do(once); err != nil {
				return err
			}
		}
		return nil
	}}
}

// avastOnce makes a retrier for each call, and gives it the context.
func avastOnce() wrapper {
	once := func() (int, error) { return 1, nil }
	return wrapper{"avast-context", func(ctx context.Context, n int) error {
		for range n {
			if _, err := avast.NewWithData[int](avast.Context(ctx)).Do(once); err != nil {
				return err
			}
		}
		return nil
	}}
}

// sethvargoRetry makes a backoff for each call, as it counts the attempts of one.
func sethvargoRetry() wrapper {
	return wrapper{"sethvargo", func(ctx context.Context, n int) error {
		for range n {
			steps := sethvargo.WithMaxRetries(2, sethvargo.NewExponential(100*time.Millisecond))
			if _, err := sethvargo.DoValue(ctx, steps, nothing); err != nil {
				return err
			}
		}
		return nil
	}}
}
