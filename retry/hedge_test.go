package retry_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/retry"
)

const usual = 10 * time.Millisecond

// takes succeeds with its number after a time, or when its context ends fails with that.
func takes(d time.Duration) func(context.Context, retry.Attempt) (int, error) {
	return func(ctx context.Context, a retry.Attempt) (int, error) {
		select {
		case <-time.After(d):
			return a.Number, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// noFloor returns a budget that only healthy answers pay in for.
func noFloor(tb testing.TB) *retry.Budget {
	tb.Helper()
	budget, err := retry.NewBudget("server", &retry.BudgetOptions{NoFloor: true})
	if err != nil {
		tb.Fatal(err)
	}
	return budget
}

// taught returns a Retrier that has seen calls of the usual time.
func taught(t *testing.T, o *retry.Options) *retry.Retrier {
	t.Helper()
	r := newRetrier(t, o)
	for range 200 {
		if n, err := retry.Hedge(t.Context(), r, takes(usual)); n != 1 || err != nil {
			t.Fatalf("attempt %d, %v", n, err)
		}
	}
	return r
}

func TestHedgeOvertakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hedged, recovered []retry.Info
		r := taught(t, &retry.Options{Hooks: &retry.Hooks{
			Hedged:    func(_ context.Context, i retry.Info) { hedged = append(hedged, i) },
			Recovered: func(_ context.Context, i retry.Info) { recovered = append(recovered, i) },
		}})
		level := r.Budget().Level()
		keys := make(chan string, 2)
		cause := make(chan error, 1)
		start := time.Now()
		n, err := retry.Hedge(t.Context(), r, func(ctx context.Context, a retry.Attempt) (int, error) {
			keys <- a.Key()
			if a.Number == 1 {
				<-ctx.Done()
				cause <- context.Cause(ctx)
				return 0, ctx.Err()
			}
			if retry.AttemptFrom(ctx) != 2 {
				t.Errorf("attempt %d in the context", retry.AttemptFrom(ctx))
			}
			return takes(usual)(ctx, a)
		})
		if took := time.Since(start); n != 2 || err != nil || took < 2*usual || took > 3*usual {
			t.Errorf("attempt %d, %v after %v", n, err, took)
		}
		if err := <-cause; err != retry.ErrOvertaken {
			t.Errorf("the slow one ended with %v", err)
		}
		if a, b := <-keys, <-keys; a != b {
			t.Errorf("two keys, %q and %q", a, b)
		}
		if len(hedged) != 1 || hedged[0].Attempt != 2 || hedged[0].Delay < usual || len(recovered) != 1 || recovered[0].Attempt != 2 || !recovered[0].Hedge {
			t.Errorf("hedged %+v, recovered %+v", hedged, recovered)
		}
		if cost := level - r.Budget().Level(); cost < 0.8 || cost > 1 {
			t.Errorf("the hedge cost %v", cost)
		}
	})
}

// Without any experience, one that is slow is left alone.
func TestHedgeNeedsExperience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrier(t, nil)
		if n, err := retry.Hedge(t.Context(), r, takes(time.Hour)); n != 1 || err != nil {
			t.Errorf("attempt %d, %v", n, err)
		}
	})
}

// When all becomes slow, the share of hedged calls is bounded, and the budget bounds them too.
func TestHedgesAreBounded(t *testing.T) {
	for _, c := range []struct {
		name  string
		o     retry.Options
		limit int
	}{
		{"by their share", retry.Options{NoBudget: true}, 10 + 1000/20},
		{"by the budget", retry.Options{HedgeShare: 1, Budget: noFloor(t)}, retry.DefaultCapacity + 1000/10},
		{"by attempts", retry.Options{NoBudget: true, MaxAttempts: 1}, 0},
		{"by nesting", retry.Options{NoBudget: true}, 0},
		{"by what must not be sent twice", retry.Options{NoBudget: true, OnlyUnsent: true}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hedges := 0
				c.o.Hooks = &retry.Hooks{Hedged: func(context.Context, retry.Info) { hedges++ }}
				c.o.HedgeQuantile = 0.5
				r := taught(t, &c.o)
				ctx := t.Context()
				if c.name == "by nesting" {
					ctx = retry.WithAttempt(ctx, 2)
				}
				for call := range 1000 {
					// Slower and slower, so that most are slower than those before.
					if _, err := retry.Hedge(ctx, r, takes(usual+time.Duration(call)*usual/10)); err != nil {
						t.Fatal(err)
					}
				}
				if hedges > c.limit || hedges < c.limit/2 {
					t.Errorf("%d hedges, want at most %d and not much less", hedges, c.limit)
				}
			})
		})
	}
}

// However many attempts there may be, no more than two run at a time.
func TestTwoAttemptsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := taught(t, &retry.Options{MaxAttempts: 10, HedgeShare: 1, NoBudget: true})
		var running, most atomic.Int32
		_, err := retry.Hedge(t.Context(), r, func(ctx context.Context, a retry.Attempt) (int, error) {
			if n := running.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer running.Add(-1)
			return takes(time.Minute)(ctx, a)
		})
		if err != nil || most.Load() != 2 {
			t.Errorf("%d at a time, %v", most.Load(), err)
		}
	})
}

func TestWhenHedgesBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			name     string
			o        retry.Options
			deadline time.Duration
			hedges   int
			after    time.Duration
		}{
			{"slower than others", retry.Options{}, time.Hour, 1, usual},
			{"not before the least delay", retry.Options{HedgeDelay: time.Second}, time.Hour, 1, time.Second},
			{"not when it cannot end in time", retry.Options{}, 2*usual - 1, 0, 0},
		} {
			var hedged []retry.Info
			c.o.Hooks = &retry.Hooks{Hedged: func(_ context.Context, i retry.Info) { hedged = append(hedged, i) }}
			r := taught(t, &c.o)
			ctx, cancel := context.WithTimeout(t.Context(), c.deadline)
			_, _ = retry.Hedge(ctx, r, takes(time.Minute))
			cancel()
			if len(hedged) != c.hedges || c.hedges == 1 && (hedged[0].Delay < c.after || hedged[0].Delay > c.after+c.after/4) {
				t.Errorf("%s: %+v", c.name, hedged)
			}
		}
	})
}

// Attempts that were overtaken count as long as they were seen to take, or slow ones would never be usual.
func TestOvertakenAttemptsAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var delay time.Duration
		r := taught(t, &retry.Options{HedgeShare: 1, NoBudget: true, Hooks: &retry.Hooks{
			Hedged: func(_ context.Context, i retry.Info) { delay = i.Delay },
		}})
		for range 500 {
			_, err := retry.Hedge(t.Context(), r, func(ctx context.Context, a retry.Attempt) (int, error) {
				if a.Number == 1 {
					return takes(time.Minute)(ctx, a)
				}
				return takes(usual)(ctx, a)
			})
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // the one that was overtaken has ended
		}
		if delay < 2*usual {
			t.Errorf("hedged after %v, though half of the attempts take longer", delay)
		}
	})
}

// Hedges that the budget refused do not count as made.
func TestRefusedHedgeKeepsItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hedges := 0
		r := taught(t, &retry.Options{Budget: noFloor(t), Hooks: &retry.Hooks{Hedged: func(context.Context, retry.Info) { hedges++ }}})
		drain(t, r)
		for range 110 {
			_, err := retry.Hedge(t.Context(), r, func(context.Context, retry.Attempt) (int, error) {
				time.Sleep(time.Second)
				return 0, context.Canceled // pays nothing in
			})
			exhausted(t, err, retry.Canceled, 1)
		}
		for range 10 {
			if _, err := retry.Do(t.Context(), r, answer); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := retry.Hedge(t.Context(), r, takes(time.Second)); n != 1 || err != nil || hedges != 1 {
			t.Errorf("%d hedges, attempt %d, %v", hedges, n, err)
		}
	})
}

// Close of a Retrier on which nothing runs succeeds, whatever its context says.
func TestCloseOfIdle(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		if err := newRetrier(t, nil).Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// A refused hedge leaves the attempt that is under way alone.
func TestRefusedHedgeChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := taught(t, &retry.Options{Budget: noFloor(t)})
		drain(t, r)
		if n, err := retry.Hedge(t.Context(), r, takes(time.Second)); n != 1 || err != nil {
			t.Errorf("attempt %d, %v", n, err)
		}
	})
}

func TestHedgeRepeatsFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrier(t, &retry.Options{Backoff: retry.Linear(time.Second, time.Hour)})
		fn, _ := script(errDown, io.EOF)
		start := time.Now()
		n, err := retry.Hedge(t.Context(), r, fn)
		if n != 3 || err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("%d, %v after %v", n, err, time.Since(start))
		}
		fn, _ = script(errDown, io.EOF, errDown)
		_, err = retry.Hedge(t.Context(), r, fn)
		if e := exhausted(t, err, retry.AttemptsExhausted, 3); e.Last != errDown || len(e.Delays) != 2 {
			t.Errorf("%+v", e)
		}
	})
}

// A failure beside an attempt that is still under way waits for that one; a permanent one does not.
func TestFailureBesideAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := taught(t, nil)
		beside := func(err error) func(context.Context, retry.Attempt) (int, error) {
			return func(ctx context.Context, a retry.Attempt) (int, error) {
				if a.Number > 2 {
					t.Error("a third attempt beside the first")
				}
				if a.Number == 2 {
					return 0, err
				}
				return takes(time.Second)(ctx, a)
			}
		}
		start := time.Now()
		if n, err := retry.Hedge(t.Context(), r, beside(errDown)); n != 1 || err != nil || time.Since(start) != time.Second {
			t.Errorf("attempt %d, %v after %v", n, err, time.Since(start))
		}
		start = time.Now()
		_, err := retry.Hedge(t.Context(), r, beside(retry.Permanent(errDown)))
		if exhausted(t, err, retry.PermanentFailure, 2); time.Since(start) > 2*usual {
			t.Errorf("after %v", time.Since(start))
		}
	})
}

// Hedge returns when its context ends, also if the function does not; Close waits for that.
func TestHedgeLeavesWhatIgnoresItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrier(t, &retry.Options{TotalTimeout: time.Second})
		start := time.Now()
		_, err := retry.Hedge(t.Context(), r, func(context.Context, retry.Attempt) (int, error) {
			time.Sleep(time.Hour)
			return 0, nil
		})
		if exhausted(t, err, retry.TimeExhausted, 1); time.Since(start) != time.Second {
			t.Errorf("after %v", time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := r.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 attempts still running") {
			t.Errorf("%v", err)
		}
		_, err = retry.Hedge(t.Context(), r, answer)
		if exhausted(t, err, retry.Canceled, 0); !errors.Is(err, retry.ErrClosed) {
			t.Errorf("%v", err)
		}
		if _, err := retry.Do(t.Context(), r, answer); err != nil {
			t.Errorf("Do after Close: %v", err)
		}
		if err := r.Close(t.Context()); err != nil || time.Since(start) != time.Hour {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestCanceledHedge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetrier(t, &retry.Options{Backoff: retry.Constant(time.Minute), Budget: noFloor(t)})
		full := r.Budget().Level()
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(io.ErrClosedPipe) })
		fn, _ := script(errDown)
		_, err := retry.Hedge(ctx, r, fn)
		exhausted(t, err, retry.Canceled, 1)
		for _, want := range []error{errDown, io.ErrClosedPipe, context.Canceled} {
			if !errors.Is(err, want) {
				t.Errorf("%v does not match %v", err, want)
			}
		}
		if got := r.Budget().Level(); got != full {
			t.Errorf("an attempt that was not made cost %v", full-got)
		}
	})
}

func TestPanicReachesTheCallerOfHedge(t *testing.T) {
	r := newRetrier(t, nil)
	defer func() {
		e, ok := recover().(*retry.PanicError)
		if !ok || e.Value != io.EOF || !errors.Is(e, io.EOF) || !strings.Contains(e.Error(), "hedge_test.go") {
			t.Errorf("%v", e)
		}
	}()
	_, _ = retry.Hedge(t.Context(), r, func(context.Context, retry.Attempt) (int, error) { panic(io.EOF) })
	t.Error("no panic")
}

func TestGoexitReachesTheCallerOfHedge(t *testing.T) {
	r := newRetrier(t, nil)
	var went atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = retry.Hedge(t.Context(), r, func(context.Context, retry.Attempt) (int, error) {
			runtime.Goexit()
			return 0, nil
		})
		went.Store(true)
	}()
	<-ended
	if went.Load() {
		t.Error("Hedge returned")
	}
}

// TestPanicAfterHedge runs itself again, as the panic ends the program.
func TestPanicAfterHedge(t *testing.T) {
	if os.Getenv("CONCORD_PANIC_AFTER_HEDGE") != "" {
		r, err := retry.New("server", nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithCancel(t.Context())
		returned := make(chan struct{})
		_, _ = retry.Hedge(ctx, r, func(context.Context, retry.Attempt) (int, error) {
			leave()
			<-returned
			panic("nobody hears this")
		})
		close(returned)
		select {}
	}
	again := exec.Command(os.Args[0], "-test.run=^TestPanicAfterHedge$", "-test.timeout=30s")
	again.Env = append(os.Environ(), "CONCORD_PANIC_AFTER_HEDGE=1")
	if out, err := again.CombinedOutput(); err == nil || !strings.Contains(string(out), "nobody hears this") {
		t.Errorf("%v: %s", err, out)
	}
}
