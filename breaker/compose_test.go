package breaker_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/breaker"
	"github.com/concord-go/concord/retry"
)

// server fails until a time, and counts its calls.
type server struct {
	up    time.Time
	calls int
}

func (s *server) call(context.Context, retry.Attempt) (int, error) {
	s.calls++
	if time.Now().Before(s.up) {
		return 0, errors.New("down")
	}
	return s.calls, nil
}

func composed(t *testing.T, b *breaker.Options, r *retry.Options) (*breaker.Breaker, *retry.Retrier) {
	t.Helper()
	b.Hooks, b.MinCalls, b.FailureRate, b.Probes = &breaker.Hooks{}, 2, 1, 1
	br, err := breaker.New("server", b)
	if err != nil {
		t.Fatal(err)
	}
	re, err := retry.New("server", r)
	if err != nil {
		t.Fatal(err)
	}
	return br, re
}

// Attempts around a breaker: a rejection says when to come back, and no attempt is made before. It counts as an
// attempt, and costs budget like one that was throttled.
func TestRetryAroundABreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failed []retry.Class
		br, re := composed(t, &breaker.Options{OpenFor: 5 * time.Second}, &retry.Options{
			MaxAttempts: 4, Backoff: retry.Constant(0),
			Hooks: &retry.Hooks{Failed: func(_ context.Context, i retry.Info) { failed = append(failed, i.Class) }},
		})
		s := &server{up: time.Now().Add(time.Second)}
		start := time.Now()
		throughBreaker := func(ctx context.Context, a retry.Attempt) (int, error) {
			return breaker.Do(ctx, br, func(ctx context.Context) (int, error) { return s.call(ctx, a) })
		}
		v, err := retry.Do(t.Context(), re, throughBreaker)
		if v != 3 || err != nil || s.calls != 3 {
			t.Errorf("%d, %v after %d calls", v, err, s.calls)
		}
		// An open time is up to a fifth shorter, and a wait up to a tenth longer.
		if took := time.Since(start); took < 4*time.Second || took > 5500*time.Millisecond {
			t.Errorf("took %v", took)
		}
		if want := []retry.Class{retry.ClassTransient, retry.ClassTransient, retry.ClassThrottled}; !slices.Equal(failed, want) {
			t.Errorf("failed: %v", failed)
		}
	})
}

// A caller without that much time is told at once, and by the breaker's own error.
func TestRetryDoesNotWaitForABreakerInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		br, re := composed(t, &breaker.Options{OpenFor: 5 * time.Second}, nil)
		s := &server{up: time.Now().Add(time.Hour)}
		for range 2 {
			_, _ = breaker.Do(t.Context(), br, func(ctx context.Context) (int, error) { return s.call(ctx, retry.Attempt{}) })
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		_, err := retry.Do(ctx, re, func(ctx context.Context, a retry.Attempt) (int, error) {
			return breaker.Do(ctx, br, func(ctx context.Context) (int, error) { return s.call(ctx, a) })
		})
		var exhausted *retry.ExhaustedError
		if !errors.As(err, &exhausted) || exhausted.Reason != retry.DeadlineTooNear || exhausted.Attempts != 1 || !errors.Is(err, breaker.ErrRejected) {
			t.Errorf("err = %v", err)
		}
		if time.Since(start) > 0 || s.calls != 2 || exhausted.RetryAfter() < 4*time.Second {
			t.Errorf("after %v, %d calls, come back in %v", time.Since(start), s.calls, exhausted.RetryAfter())
		}
	})
}

// A breaker around attempts has one outcome for each call, however many attempts were made: a call that
// recovers is a success, and a rejection makes no attempt.
func TestBreakerAroundAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		br, re := composed(t, &breaker.Options{}, &retry.Options{Backoff: retry.Constant(time.Second)})
		s := &server{up: time.Now().Add(1500 * time.Millisecond)}
		call := func(ctx context.Context) error {
			_, err := breaker.Do(ctx, br, func(ctx context.Context) (int, error) { return retry.Do(ctx, re, s.call) })
			return err
		}
		if err := call(t.Context()); err != nil || s.calls != 3 {
			t.Errorf("%v after %d attempts", err, s.calls)
		}
		if n := br.Counts(); n.Calls != 1 || n.Failed != 0 {
			t.Errorf("recovered: %+v", n)
		}
		br.Reset()
		s.up = time.Now().Add(time.Hour)
		for range 2 {
			if err := call(t.Context()); !errors.Is(err, retry.ErrExhausted) {
				t.Errorf("err = %v", err)
			}
		}
		if err := call(t.Context()); !errors.Is(err, breaker.ErrRejected) || s.calls != 9 {
			t.Errorf("%v after %d attempts", err, s.calls)
		}

		// A caller who leaves while an attempt is waited for is not counted.
		br.Reset()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(500*time.Millisecond, cancel)
		if err := call(ctx); !errors.Is(err, context.Canceled) || br.Counts().Calls != 0 {
			t.Errorf("%v, %+v", err, br.Counts())
		}
	})
}
