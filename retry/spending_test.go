package retry_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/retry"
)

// A refusal concerns the further attempt alone, and says which budget it was and when to come back.
func TestBudgetExhausted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrier(t, &retry.Options{Budget: noFloor(t), Backoff: retry.Constant(time.Second)})
		drain(t, r)
		start := time.Now()
		fn, _ := script(errDown)
		_, err := retry.Do(t.Context(), r, fn)
		e := exhausted(t, err, retry.BudgetExhausted, 1)
		var b *retry.BudgetError
		if !errors.As(err, &b) || !errors.Is(err, retry.ErrBudget) || !errors.Is(err, errDown) || time.Since(start) != 0 {
			t.Fatalf("%v after %v", err, time.Since(start))
		}
		if b.Budget != "server" || b.Capacity != retry.DefaultCapacity || b.Cost != 1 || b.Level >= 1 || e.RetryAfter() != time.Second {
			t.Errorf("%+v, come back after %v", b, e.RetryAfter())
		}
		if n, err := retry.Do(t.Context(), r, answer); n != 42 || err != nil {
			t.Errorf("a first attempt: %d, %v", n, err)
		}
	})
}

// What shows that the server works pays in, also an answer that is an error.
func TestHealthyAnswersPayIn(t *testing.T) {
	for _, c := range []struct {
		name string
		call func(context.Context, retry.Attempt) (int, error)
		paid float64
	}{
		{"success", answer, 0.1},
		{"permanent", func(context.Context, retry.Attempt) (int, error) { return 0, retry.Permanent(errDown) }, 0.1},
		{"an inner one that gave up", func(context.Context, retry.Attempt) (int, error) {
			return 0, &retry.ExhaustedError{Reason: retry.AttemptsExhausted}
		}, 0},
		{"canceled", func(context.Context, retry.Attempt) (int, error) { return 0, context.Canceled }, 0},
		{"throttled", func(context.Context, retry.Attempt) (int, error) { return 0, busy(1) }, 0},
		{"transient", func(context.Context, retry.Attempt) (int, error) { return 0, errDown }, 0},
	} {
		for name, call := range map[string]func(context.Context, *retry.Retrier, func(context.Context, retry.Attempt) (int, error)) (int, error){
			"Do": retry.Do[int], "Hedge": retry.Hedge[int],
		} {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				r := newRetrier(t, &retry.Options{Budget: noFloor(t), MaxAttempts: 3, Backoff: retry.Constant(0)})
				drain(t, r)
				before := r.Budget().Level()
				_, _ = call(t.Context(), r, c.call)
				if got := r.Budget().Level() - before; got < c.paid-1e-9 || got > c.paid+1e-9 {
					t.Errorf("paid %v, want %v", got, c.paid)
				}
			})
		}
	}
}

// One budget is shared by Retriers, and costs depend on what went wrong.
func TestCosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for class, want := range map[retry.Class]float64{
			retry.ClassTransient: 1, retry.ClassThrottled: 1, retry.ClassTimeout: 2, retry.ClassUnsent: 0.2,
		} {
			budget := noFloor(t)
			for range 2 {
				r := newRetrier(t, &retry.Options{Budget: budget, MaxAttempts: 2})
				fn, _ := script(retry.Mark(errDown, class), retry.Mark(errDown, class))
				_, err := retry.Do(t.Context(), r, fn)
				exhausted(t, err, retry.AttemptsExhausted, 2)
			}
			if cost := budget.Capacity() - budget.Level(); cost < 2*want-1e-9 || cost > 2*want+1e-9 {
				t.Errorf("two attempts after %v cost %v, want %v each", class, cost, want)
			}
		}
	})
}

// A program with little traffic can make further attempts all the same.
func TestLowTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrier(t, nil)
		drain(t, r)
		for range 100 {
			time.Sleep(3 * time.Second)
			fn, _ := script(errDown, errDown)
			if _, err := retry.Do(t.Context(), r, fn); err != nil {
				t.Fatal(err)
			}
		}
	})
}
