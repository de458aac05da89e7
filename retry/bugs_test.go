package retry_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/internal/evidence"
	"github.com/concord-go/concord/retry"
)

func TestEveryBugIsAnswered(t *testing.T) {
	if err := evidence.Table("..", "testdata/bugs.md", 3, "cannot happen"); err != nil {
		t.Error(err)
	}
}

// Calls that fail in one moment do not come back in one.
func TestDelaysDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delays := map[time.Duration]bool{}
		for range 20 {
			fn, _ := script(errDown)
			start := time.Now()
			if _, err := retry.Do(t.Context(), newRetrier(t, nil), fn); err != nil {
				t.Fatal(err)
			}
			delays[time.Since(start)] = true
		}
		if len(delays) < 10 {
			t.Errorf("only %d different delays", len(delays))
		}
	})
}

// Without timeouts, an attempt of Do has the life of the call's context; with one, and with Hedge, its
// context ends when the call returns, and no timer is left.
func TestContextsOfAttempts(t *testing.T) {
	var last context.Context
	keep := func(ctx context.Context, _ retry.Attempt) (int, error) {
		if ctx.Err() != nil {
			t.Error("it has ended before its attempt")
		}
		last = ctx
		return 0, nil
	}
	for _, c := range []struct {
		name string
		o    retry.Options
		call func(context.Context, *retry.Retrier, func(context.Context, retry.Attempt) (int, error)) (int, error)
		ends bool
	}{
		{"Do", retry.Options{}, retry.Do[int], false},
		{"Do with an attempt timeout", retry.Options{AttemptTimeout: time.Hour}, retry.Do[int], true},
		{"Do with a total timeout", retry.Options{TotalTimeout: time.Hour}, retry.Do[int], true},
		{"Hedge", retry.Options{}, retry.Hedge[int], true},
	} {
		if _, err := c.call(t.Context(), newRetrier(t, &c.o), keep); err != nil {
			t.Fatal(err)
		}
		if ended := last.Err() != nil; ended != c.ends {
			t.Errorf("%s: ended is %v", c.name, ended)
		}
	}
}

// A function whose value needs a context, such as the body of a response, gives it one that ends with
// the attempt only until the value is there.
func TestValueThatOutlivesItsAttempt(t *testing.T) {
	r := newRetrier(t, &retry.Options{AttemptTimeout: time.Hour})
	body, err := retry.Hedge(t.Context(), r, func(ctx context.Context, _ retry.Attempt) (context.Context, error) {
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		t.Cleanup(cancel) // what closing the body would do
		if stop := context.AfterFunc(ctx, cancel); !stop() {
			return nil, context.Cause(ctx)
		}
		return own, nil
	})
	if err != nil || body.Err() != nil {
		t.Errorf("%v, %v", err, body.Err())
	}
}
