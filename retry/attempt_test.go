package retry_test

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/retry"
)

func TestKeyIsOfTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrier(t, &retry.Options{NoBudget: true})
		seen := map[string]int{}
		const calls = 100
		for range calls {
			_, err := retry.Do(t.Context(), r, func(_ context.Context, a retry.Attempt) (int, error) {
				if len(a.Key()) != 22 {
					t.Errorf("key %q", a.Key())
				}
				seen[a.Key()]++
				return 0, errDown
			})
			exhausted(t, err, retry.AttemptsExhausted, 3)
		}
		if len(seen) != calls {
			t.Errorf("%d keys", len(seen))
		}
		for key, n := range seen {
			if n != 3 {
				t.Errorf("%q in %d attempts", key, n)
			}
		}
	})
}

func TestKeyFromOutside(t *testing.T) {
	r := newRetrier(t, nil)
	outer := func(ctx context.Context, a retry.Attempt) (string, error) {
		return retry.Do(retry.WithKey(ctx, a.Key()+"/charge"), r, func(_ context.Context, a retry.Attempt) (string, error) {
			return a.Key(), nil
		})
	}
	got, err := retry.Do(retry.WithKey(t.Context(), "order-42"), r, outer)
	if got != "order-42/charge" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAttemptsAreNumbered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrier(t, nil)
		want := 0
		_, err := retry.Do(t.Context(), r, func(ctx context.Context, a retry.Attempt) (int, error) {
			want++
			if a.Number != want || retry.AttemptFrom(ctx) != want {
				t.Errorf("number %d, %d in the context, want %d", a.Number, retry.AttemptFrom(ctx), want)
			}
			return 0, errDown
		})
		exhausted(t, err, retry.AttemptsExhausted, 3)
	})
	if got := retry.AttemptFrom(retry.WithAttempt(t.Context(), -1)); got != 1 {
		t.Errorf("number %d", got)
	}
}

// Three layers of three attempts each.
func TestOneLayerMakesAttempts(t *testing.T) {
	for _, c := range []struct {
		name     string
		o        retry.Options
		failures func(ctx context.Context) error
		made     int
	}{
		{"the innermost", retry.Options{}, func(context.Context) error { return errDown }, 3},
		{"all of them by option", retry.Options{
			RetryNested: true, NoBudget: true,
			Classify: func(err error) retry.Class {
				if errors.Is(err, errDown) {
					return retry.ClassTransient
				}
				return retry.ClassUnknown
			},
		}, func(context.Context) error { return errDown }, 27},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b, d := newRetrier(t, &c.o), newRetrier(t, &c.o), newRetrier(t, &c.o)
				made := 0
				_, err := retry.Do(t.Context(), a, func(ctx context.Context, _ retry.Attempt) (int, error) {
					return retry.Do(ctx, b, func(ctx context.Context, _ retry.Attempt) (int, error) {
						return retry.Do(ctx, d, func(ctx context.Context, _ retry.Attempt) (int, error) {
							made++
							return 0, c.failures(ctx)
						})
					})
				})
				if made != c.made || !errors.Is(err, errDown) {
					t.Errorf("%d attempts, want %d: %v", made, c.made, err)
				}
			})
		})
	}
}

// What fails in the outer layer itself is repeated there, and the inner one makes one attempt each time.
func TestNestedCallMakesOneAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outer, inner := newRetrier(t, nil), newRetrier(t, nil)
		made := 0
		_, err := retry.Do(t.Context(), outer, func(ctx context.Context, a retry.Attempt) (int, error) {
			if a.Number == 1 {
				return 0, errDown
			}
			_, err := retry.Do(ctx, inner, func(context.Context, retry.Attempt) (int, error) {
				made++
				return 0, syscall.ECONNREFUSED
			})
			if e := exhausted(t, err, retry.NestedAttempt, 1); !errors.Is(e.Last, syscall.ECONNREFUSED) || e.RetryAfter() < 0 {
				t.Errorf("%+v", e)
			}
			return 0, err
		})
		exhausted(t, err, retry.AttemptsExhausted, 3)
		if made != 2 {
			t.Errorf("%d attempts in the inner layer", made)
		}
	})
	// The same when the outer attempt was made by another process.
	fn, attempts := script(errDown)
	_, err := retry.Do(retry.WithAttempt(t.Context(), 2), newRetrier(t, nil), fn)
	if exhausted(t, err, retry.NestedAttempt, 1); *attempts != 1 {
		t.Errorf("%d attempts", *attempts)
	}
}

// The total time of an outer call ends an inner one like any other end of its context.
func TestTotalTimeIsOfTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outer, inner := newRetrier(t, &retry.Options{TotalTimeout: time.Second}), newRetrier(t, nil)
		_, err := retry.Do(t.Context(), outer, func(ctx context.Context, _ retry.Attempt) (int, error) {
			_, err := retry.Do(ctx, inner, takes(time.Hour))
			exhausted(t, err, retry.Canceled, 1)
			return 0, err
		})
		if e := exhausted(t, err, retry.TimeExhausted, 1); !errors.Is(e.Cause, retry.ErrTotalTimeout) {
			t.Errorf("%+v", e)
		}
	})
}

// A timeout of the outer attempt ends the inner call, and is followed by another outer attempt.
func TestOuterAttemptTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outer, inner := newRetrier(t, &retry.Options{AttemptTimeout: time.Second}), newRetrier(t, nil)
		n, err := retry.Do(t.Context(), outer, func(ctx context.Context, a retry.Attempt) (int, error) {
			_, err := retry.Do(ctx, inner, takes(2*time.Second/time.Duration(a.Number*a.Number)))
			return a.Number, err
		})
		if n != 2 || err != nil {
			t.Errorf("attempt %d, %v", n, err)
		}
	})
}
