package peerbench

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/sony/gobreaker/v2"

	"github.com/concord-go/concord/breaker"
)

// BenchmarkBreaker compares calls that are let through, also by a breaker that judges how long they
// take, which the others do not, and calls that are rejected.
func BenchmarkBreaker(b *testing.B) {
	b.Run("closed", func(b *testing.B) {
		overhead(b, concordBreaker(b, nil, false), goBreaker(0, false), goBreaker(time.Second, false), failsafeBreaker(false))
	})
	b.Run("slow", func(b *testing.B) {
		overhead(b, concordBreaker(b, &breaker.Options{SlowAfter: time.Second}, false))
	})
	b.Run("rejected", func(b *testing.B) {
		silent := &breaker.Options{OpenFor: time.Hour, Hooks: &breaker.Hooks{}}
		overhead(b, concordBreaker(b, silent, true), goBreaker(0, true), failsafeBreaker(true))
	})
}

// tripping is more failures than any of the breakers needs to open.
const tripping = 100

func concordBreaker(b *testing.B, o *breaker.Options, open bool) wrapper {
	br, err := breaker.New("server", o)
	if err != nil {
		b.Fatal(err)
	}
	if open {
		for range tripping {
			_, _ = breaker.Do(b.Context(), br, fails) // the error is the point
		}
	}
	return wrapper{"concord", func(ctx context.Context, n int) error {
		for range n {
			if _, err := breaker.Do(ctx, br, nothing); open != (err != nil) {
				return wrongly(open, err)
			}
		}
		return nil
	}}
}

// goBreaker has a window of ten seconds, in buckets if they are asked for. It knows no context.
func goBreaker(bucket time.Duration, open bool) wrapper {
	name := "gobreaker"
	if bucket > 0 {
		name = "gobreaker-buckets"
	}
	br := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{Interval: 10 * time.Second, BucketPeriod: bucket, Timeout: time.Hour})
	if open {
		for range tripping {
			_, _ = br.Execute(func() (int, error) { return 0, errFails })
		}
	}
	once := func() (int, error) { return 1, nil }
	return wrapper{name, func(_ context.Context, n int) error {
		for range n {
			if _, err := br.Execute(once); open != (err != nil) {
				return wrongly(open, err)
			}
		}
		return nil
	}}
}

// failsafeBreaker has a window of ten seconds and the rates of ours.
func failsafeBreaker(open bool) wrapper {
	br := circuitbreaker.NewBuilder[int]().WithFailureRateThreshold(0.5, 20, 10*time.Second).WithDelay(time.Hour).Build()
	var want error
	if open {
		br.Open()
		want = circuitbreaker.ErrOpen
	}
	return failsafeCalls(failsafe.With(br), want)
}

// wrongly says that a call was let through, or was not.
func wrongly(open bool, err error) error {
	if open {
		return errors.New("a call was let through")
	}
	return err
}
