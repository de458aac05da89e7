package retry_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/retry"
)

var errDown = errors.New("down")

// exhausted wants err to be the end of a call for a reason, after so many attempts.
func exhausted(t *testing.T, err error, reason retry.Reason, attempts int) retry.ExhaustedError {
	t.Helper()
	var e *retry.ExhaustedError
	if !errors.As(err, &e) || !errors.Is(err, retry.ErrExhausted) {
		t.Fatalf("%v, want an ExhaustedError", err)
	}
	if e.Reason != reason || e.Attempts != attempts {
		t.Errorf("%v; want %q after %d", err, reason, attempts)
	}
	return *e
}

// script fails as the list says, one error an attempt, and succeeds after it.
func script(failures ...error) (fn func(context.Context, retry.Attempt) (int, error), attempts *int) {
	n := 0
	return func(context.Context, retry.Attempt) (int, error) {
		n++
		if n <= len(failures) {
			return -1, failures[n-1]
		}
		return n, nil
	}, &n
}

func TestDoRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrier(t, &retry.Options{Backoff: retry.Linear(time.Second, time.Hour)})
		fn, _ := script(errDown, io.EOF)
		start := time.Now()
		v, err := retry.Do(t.Context(), r, fn)
		if v != 3 || err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("%d, %v after %v", v, err, time.Since(start))
		}
	})
}

func TestDoGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrier(t, &retry.Options{Backoff: retry.Linear(time.Second, time.Hour)})
		fn, attempts := script(errDown, io.EOF, errDown, nil)
		v, err := retry.Do(t.Context(), r, fn)
		e := exhausted(t, err, retry.AttemptsExhausted, 3)
		if v != 0 || *attempts != 3 || e.Last != errDown || errors.Is(err, io.EOF) || e.Cause != nil {
			t.Errorf("%d after %d attempts: %+v", v, *attempts, e)
		}
		if !slices.Equal(e.Delays, []time.Duration{time.Second, 2 * time.Second}) || e.RetryAfter() != 3*time.Second {
			t.Errorf("delays %v, then %v", e.Delays, e.RetryAfter())
		}
		if want := `retry: "server": all attempts failed after 3 attempts: down`; err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	})
}

func TestReasons(t *testing.T) {
	for _, c := range []struct {
		name     string
		o        retry.Options
		failures []error
		reason   retry.Reason
		attempts int
	}{
		{"permanent", retry.Options{}, []error{errDown, retry.Permanent(errDown)}, retry.PermanentFailure, 2},
		{"permanent by option", retry.Options{Classify: func(error) retry.Class { return retry.ClassPermanent }}, []error{errDown}, retry.PermanentFailure, 1},
		{"nonsense by option", retry.Options{Classify: func(error) retry.Class { return 99 }}, []error{retry.Permanent(errDown)}, retry.PermanentFailure, 1},
		{"canceled by the attempt", retry.Options{}, []error{context.Canceled}, retry.Canceled, 1},
		{"an inner one", retry.Options{}, []error{&retry.ExhaustedError{Reason: retry.AttemptsExhausted}}, retry.InnerExhausted, 1},
		{"only unsent", retry.Options{OnlyUnsent: true}, []error{retry.Mark(errDown, retry.ClassUnsent), errDown}, retry.NotRepeatable, 2},
		{"one attempt", retry.Options{MaxAttempts: 1}, []error{errDown}, retry.AttemptsExhausted, 1},
		{"no time", retry.Options{TotalTimeout: time.Second, Backoff: retry.Constant(time.Second)}, []error{errDown}, retry.DeadlineTooNear, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRetrier(t, &c.o)
				fn, attempts := script(c.failures...)
				_, err := retry.Do(t.Context(), r, fn)
				if exhausted(t, err, c.reason, c.attempts); *attempts != c.attempts {
					t.Errorf("%d attempts", *attempts)
				}
			})
		})
	}
}

// What the caller's context says is told together with what the last attempt said.
func TestCanceledWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrier(t, &retry.Options{Backoff: retry.Constant(time.Minute), Budget: noFloor(t)})
		full := r.Budget().Level()
		ctx, cancel := context.WithCancelCause(t.Context())
		reason := errors.New("user left")
		time.AfterFunc(time.Second, func() { cancel(reason) })
		fn, _ := script(errDown)
		start := time.Now()
		_, err := retry.Do(ctx, r, fn)
		e := exhausted(t, err, retry.Canceled, 1)
		if e.Last != errDown || e.Cause != reason || len(e.Delays) != 0 || time.Since(start) != time.Second {
			t.Errorf("%+v after %v", e, time.Since(start))
		}
		for _, want := range []error{errDown, reason, context.Canceled} {
			if !errors.Is(err, want) {
				t.Errorf("%v does not match %v", err, want)
			}
		}
		if !strings.Contains(err.Error(), "user left") || !strings.Contains(err.Error(), "down") {
			t.Error(err)
		}
		if got := r.Budget().Level(); got != full {
			t.Errorf("an attempt that was not made cost %v", full-got)
		}
	})
}

func TestEndedContextMakesNoAttempt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, call := range []func(context.Context, *retry.Retrier, func(context.Context, retry.Attempt) (int, error)) (int, error){
		retry.Do[int], retry.Hedge[int],
	} {
		fn, attempts := script()
		_, err := call(ctx, newRetrier(t, nil), fn)
		exhausted(t, err, retry.Canceled, 0)
		if *attempts != 0 || !errors.Is(err, context.Canceled) {
			t.Errorf("%d attempts, %v", *attempts, err)
		}
	}
}

// A success counts, whatever became of the context meanwhile.
func TestSuccessAfterTheContextEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	v, err := retry.Do(ctx, newRetrier(t, nil), func(context.Context, retry.Attempt) (int, error) {
		cancel()
		return 7, nil
	})
	if v != 7 || err != nil {
		t.Errorf("%d, %v", v, err)
	}
}

func TestTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrier(t, &retry.Options{
			MaxAttempts: 100, AttemptTimeout: time.Second, TotalTimeout: 3500 * time.Millisecond, Backoff: retry.Constant(100 * time.Millisecond),
		})
		start := time.Now()
		causes := map[error]int{}
		_, err := retry.Do(t.Context(), r, func(ctx context.Context, a retry.Attempt) (int, error) {
			<-ctx.Done()
			causes[context.Cause(ctx)]++
			// An error of its own in the place of that of the context.
			if a.Number == 1 {
				return 0, context.Canceled
			}
			return 0, errDown
		})
		e := exhausted(t, err, retry.TimeExhausted, 4)
		if time.Since(start) != 3500*time.Millisecond || !errors.Is(e.Cause, retry.ErrTotalTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if causes[retry.ErrAttemptTimeout] != 3 || causes[retry.ErrTotalTimeout] != 1 {
			t.Errorf("causes: %v", causes)
		}
		if spent := retry.DefaultCapacity - r.Budget().Level(); spent < 3 {
			t.Errorf("three timeouts have cost %v only", spent)
		}
	})
}

// An attempt that takes about as long as all of them would not be there in time.
func TestAttemptsThatCannotEndAreNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(context.Context, retry.Attempt) (int, error) {
			time.Sleep(10 * time.Second)
			return 0, nil
		}
		for _, c := range []struct {
			timeout time.Duration
			calls   int
		}{
			{time.Minute, 100},
			{0, 5000}, // few of which are timed
		} {
			r := newRetrier(t, &retry.Options{AttemptTimeout: c.timeout, Backoff: retry.Constant(time.Second)})
			for range c.calls {
				if _, err := retry.Do(t.Context(), r, slow); err != nil {
					t.Fatal(err)
				}
			}
			for left, want := range map[time.Duration]retry.Reason{11 * time.Second: retry.DeadlineTooNear, 15 * time.Second: retry.AttemptsExhausted} {
				ctx, cancel := context.WithTimeout(t.Context(), left)
				fn, _ := script(errDown, errDown, errDown)
				_, err := retry.Do(ctx, r, fn)
				cancel()
				var e *retry.ExhaustedError
				if !errors.As(err, &e) || e.Reason != want {
					t.Errorf("%v left: %v", left, err)
				}
			}
		}
	})
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct{ hint, least, most time.Duration }{
			{time.Second, time.Second, 1100 * time.Millisecond},
			{1000 * time.Hour, time.Minute, 66 * time.Second},
			{0, time.Millisecond, time.Millisecond}, // no hint: the backoff
			{-time.Hour, time.Millisecond, time.Millisecond},
		} {
			r := newRetrier(t, &retry.Options{MaxRetryAfter: time.Minute, Backoff: retry.Constant(time.Millisecond)})
			fn, _ := script(busy(c.hint))
			start := time.Now()
			if _, err := retry.Do(t.Context(), r, fn); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took < c.least || took > c.most {
				t.Errorf("%v: waited %v, want %v to %v", c.hint, took, c.least, c.most)
			}
		}
	})
}

// Those who were told the same time do not come back together.
func TestRetryAfterIsJittered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits := map[time.Duration]bool{}
		for range 20 {
			fn, _ := script(busy(time.Hour))
			start := time.Now()
			if _, err := retry.Do(t.Context(), newRetrier(t, nil), fn); err != nil {
				t.Fatal(err)
			}
			waits[time.Since(start)] = true
		}
		if len(waits) < 10 {
			t.Errorf("only %d different waits", len(waits))
		}
	})
}

// A backoff is told the number of the attempt that failed and the delay before it.
func TestBackoffIsToldWhatWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []time.Duration
		r := newRetrier(t, &retry.Options{MaxAttempts: 4, Backoff: func(number int, previous time.Duration, _ func(int64) int64) time.Duration {
			told = append(told, previous)
			return time.Duration(number) * time.Second
		}})
		fn, _ := script(errDown, errDown, errDown)
		if _, err := retry.Do(t.Context(), r, fn); err != nil || !slices.Equal(told, []time.Duration{0, time.Second, 2 * time.Second}) {
			t.Errorf("%v, %v", told, err)
		}
	})
}

// A server may ask for more time than there is: the call ends at once, and says so.
func TestRetryAfterBeyondTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrier(t, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		fn, _ := script(busy(20 * time.Second))
		start := time.Now()
		_, err := retry.Do(ctx, r, fn)
		e := exhausted(t, err, retry.DeadlineTooNear, 1)
		if time.Since(start) != 0 || e.RetryAfter() < 20*time.Second || e.RetryAfter() > 22*time.Second {
			t.Errorf("after %v, come back after %v", time.Since(start), e.RetryAfter())
		}
	})
}

// No call ends after its deadline, however its attempts and delays fall, if its function honours the context.
func TestNeverBeyondTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(5, 6))
		within := func(d time.Duration) time.Duration { return time.Duration(random.Int64N(int64(d))) }
		for range 2000 {
			o := retry.Options{
				MaxAttempts:    1 + random.IntN(20),
				AttemptTimeout: within(2 * time.Second),
				TotalTimeout:   within(10 * time.Second),
				Backoff:        retry.Decorrelated(within(time.Second), time.Minute),
				NoBudget:       true,
			}
			r, err := retry.New("server", &o)
			if err != nil {
				t.Fatal(err)
			}
			limit := 1 + within(10*time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			start := time.Now()
			_, err = retry.Do(ctx, r, func(ctx context.Context, _ retry.Attempt) (int, error) {
				if ctx.Err() != nil {
					t.Error("an attempt began after the end of its context")
				}
				select {
				case <-time.After(within(3 * time.Second)):
					return 0, errDown
				case <-ctx.Done():
					return 0, ctx.Err()
				}
			})
			cancel()
			took := time.Since(start)
			var e *retry.ExhaustedError
			if !errors.As(err, &e) || took > limit || o.TotalTimeout > 0 && took > o.TotalTimeout {
				t.Fatalf("%v of %v and %v: %v", took, limit, o.TotalTimeout, err)
			}
			if e.Attempts > o.MaxAttempts || e.Reason != retry.TimeExhausted && e.Reason != retry.Canceled && len(e.Delays) != e.Attempts-1 {
				t.Fatalf("%+v", e)
			}
		}
	})
}

// A panic of the function is the caller's, and leaves nothing behind.
func TestPanicGoesThrough(t *testing.T) {
	r := newRetrier(t, &retry.Options{AttemptTimeout: time.Hour})
	defer func() {
		if v := recover(); v != io.EOF {
			t.Errorf("%v", v)
		}
		if _, err := retry.Do(t.Context(), r, answer); err != nil {
			t.Error(err)
		}
	}()
	_, _ = retry.Do(t.Context(), r, func(context.Context, retry.Attempt) (int, error) { panic(io.EOF) })
}

// One Retrier serves many calls at the same time, and each has all its attempts.
func TestCallsDoNotShareAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrier(t, &retry.Options{MaxAttempts: 4, NoBudget: true})
		ends := make(chan error)
		const calls = 50
		for range calls {
			go func() {
				fn, _ := script(errDown, errDown, errDown, errDown)
				_, err := retry.Do(t.Context(), r, fn)
				ends <- err
			}()
		}
		for range calls {
			exhausted(t, <-ends, retry.AttemptsExhausted, 4)
		}
	})
}
