package breaker_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/concord-go/concord/breaker"
	"github.com/concord-go/concord/breaker/gobreakerengine"
)

// What both engines are set to: they open after this many failures in a row, for a second at most, and try
// with this many calls.
const (
	failures     = 5
	probes       = 3
	openFor      = time.Second
	probeTimeout = 2 * time.Second
)

// engines are the two, with the same rules as far as they can have them.
var engines = []struct {
	name    string
	options func() *breaker.Options
}{
	{"own", func() *breaker.Options {
		return silent(breaker.Options{
			MinCalls: failures, OpenFor: openFor, MaxOpenFor: openFor, Probes: probes, ProbeTimeout: probeTimeout,
		})
	}},
	{"own, last calls", func() *breaker.Options {
		return silent(breaker.Options{
			Calls: 8, MinCalls: failures, OpenFor: openFor, MaxOpenFor: openFor, Probes: probes, ProbeTimeout: probeTimeout,
		})
	}},
	{"gobreaker", func() *breaker.Options {
		return silent(breaker.Options{Engine: gobreakerengine.New(gobreaker.Settings{
			MaxRequests: probes,
			Timeout:     openFor,
			ReadyToTrip: func(n gobreaker.Counts) bool { return n.TotalFailures >= failures },
		}, &gobreakerengine.Options{ProbeTimeout: probeTimeout})})
	}},
}

var errCall = errors.New("call failed")

// onBoth runs a test on each engine, in a bubble with a clock of its own. change may be nil.
func onBoth(t *testing.T, change func(*breaker.Options), test func(*testing.T, *breaker.Breaker)) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := e.options()
				if change != nil {
					change(o)
				}
				test(t, newBreaker(t, o))
			})
		})
	}
}

// want checks the state.
func want(t *testing.T, b *breaker.Breaker, s breaker.State) {
	t.Helper()
	if got := b.State(); got != s {
		t.Fatalf("it is %v, want %v", got, s)
	}
}

// rejection makes a call that must be rejected, and returns its error.
func rejection(t *testing.T, b *breaker.Breaker) *breaker.RejectedError {
	t.Helper()
	_, err := breaker.Do(t.Context(), b, func(context.Context) (int, error) {
		t.Error("called")
		return 0, nil
	})
	var r *breaker.RejectedError
	if !errors.As(err, &r) || !errors.Is(err, breaker.ErrRejected) {
		t.Fatalf("error %v", err)
	}
	return r
}

// acquire begins a call that must be let through.
func acquire(t *testing.T, b *breaker.Breaker) *breaker.Permit {
	t.Helper()
	p, err := b.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

// halfOpen opens the breaker and lets its time pass.
func halfOpen(t *testing.T, b *breaker.Breaker) {
	t.Helper()
	trip(t, b)
	time.Sleep(openFor + 1)
}

func TestFailuresOpen(t *testing.T) {
	onBoth(t, nil, func(t *testing.T, b *breaker.Breaker) {
		for range failures - 1 {
			_, err := breaker.Do(t.Context(), b, func(context.Context) (int, error) { return 7, errCall })
			if !errors.Is(err, errCall) {
				t.Fatal(err)
			}
			want(t, b, breaker.Closed)
		}
		if got := b.Counts(); got != (breaker.Counts{Calls: failures - 1, Failed: failures - 1}) {
			t.Errorf("counts %+v", got)
		}
		call(t, b, breaker.Failure)
		want(t, b, breaker.Open)
		r := rejection(t, b)
		if after := r.RetryAfter(); after > openFor || after < openFor*8/10 || r.State != breaker.Open || r.Reason != breaker.TooManyFailures {
			t.Errorf("%+v, after %v", r, after)
		}
		time.Sleep(r.RetryAfter() - 1)
		if left := rejection(t, b).RetryAfter(); left != 1 {
			t.Errorf("left: %v", left)
		}
		time.Sleep(2 * time.Nanosecond)
		if after := r.RetryAfter(); after != 0 {
			t.Errorf("after its time: %v", after)
		}
		acquire(t, b)
		want(t, b, breaker.HalfOpen)
	})
}

func TestConcurrentCallersAdmitExactlyTheProbes(t *testing.T) {
	onBoth(t, nil, func(t *testing.T, b *breaker.Breaker) {
		halfOpen(t, b)
		var admitted, refused atomic.Int64
		var wg sync.WaitGroup
		end := make(chan struct{})
		for range 200 {
			wg.Go(func() {
				_, err := breaker.Do(t.Context(), b, func(context.Context) (int, error) {
					admitted.Add(1)
					<-end
					return 0, nil
				})
				var r *breaker.RejectedError
				if errors.As(err, &r) && r.Reason == breaker.Probing && r.State == breaker.HalfOpen && r.RetryAfter() == 0 {
					refused.Add(1)
				}
			})
		}
		synctest.Wait()
		if a, r := admitted.Load(), refused.Load(); a != probes || r != 200-probes {
			t.Errorf("%d let through, %d rejected", a, r)
		}
		close(end)
		wg.Wait()
		want(t, b, breaker.Closed)
		call(t, b, breaker.Success)
	})
}

func TestFailedProbesOpenAgain(t *testing.T) {
	onBoth(t, nil, func(t *testing.T, b *breaker.Breaker) {
		for range 3 {
			halfOpen(t, b)
			first, second := acquire(t, b), acquire(t, b)
			first.Report(breaker.Failure)
			second.Report(breaker.Failure)
			want(t, b, breaker.Open)
			_ = rejection(t, b)
		}
	})
}

func TestCancelledCallersAreNotCounted(t *testing.T) {
	onBoth(t, nil, func(t *testing.T, b *breaker.Breaker) {
		abandoned := func() {
			ctx, cancel := context.WithCancel(t.Context())
			_, err := breaker.Do(ctx, b, func(context.Context) (int, error) {
				cancel()
				return 0, errCall
			})
			if !errors.Is(err, errCall) {
				t.Fatal(err)
			}
		}
		for range 100 {
			abandoned()
		}
		want(t, b, breaker.Closed)
		if got := b.Counts(); got != (breaker.Counts{}) {
			t.Errorf("counts %+v", got)
		}
		halfOpen(t, b)
		for range 100 {
			abandoned() // each gives its slot back
		}
		want(t, b, breaker.HalfOpen)
		for range probes {
			call(t, b, breaker.Success)
		}
		want(t, b, breaker.Closed)
	})
}

func TestDeadlineCountsOnceTheCallHasBegun(t *testing.T) {
	onBoth(t, nil, func(t *testing.T, b *breaker.Breaker) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _ = breaker.Do(ctx, b, func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
		if got := b.Counts(); got != (breaker.Counts{Calls: 1, Failed: 1}) {
			t.Errorf("counts %+v", got)
		}
		_, err := breaker.Do(ctx, b, func(context.Context) (int, error) {
			t.Error("called")
			return 0, nil
		})
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, breaker.ErrRejected) {
			t.Error(err)
		}
		if got := b.Counts(); got != (breaker.Counts{Calls: 1, Failed: 1}) {
			t.Errorf("counts after a call that never began %+v", got)
		}
	})
}

// leave ends a call by a panic or the end of its goroutine.
func leave(t *testing.T, b *breaker.Breaker, by func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }()
		_, _ = breaker.Do(t.Context(), b, func(context.Context) (int, error) {
			by()
			return 0, nil
		})
	}()
	<-done
}

func TestPanicAndGoexitAreFailures(t *testing.T) {
	for name, by := range map[string]func(){"panic": func() { panic("in a call") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, nil, func(t *testing.T, b *breaker.Breaker) {
				for range failures {
					want(t, b, breaker.Closed)
					leave(t, b, by)
				}
				want(t, b, breaker.Open)
				time.Sleep(openFor + 1)
				leave(t, b, by)
				if b.State() == breaker.HalfOpen {
					leave(t, b, by)
				}
				want(t, b, breaker.Open)
				time.Sleep(openFor + 1)
				for range probes {
					if b.State() != breaker.Closed {
						call(t, b, breaker.Success)
					}
				}
				want(t, b, breaker.Closed)
			})
		})
	}
}

func TestLostProbesFreeTheirSlots(t *testing.T) {
	onBoth(t, nil, func(t *testing.T, b *breaker.Breaker) {
		halfOpen(t, b)
		var lost []*breaker.Permit
		for range probes {
			lost = append(lost, acquire(t, b))
		}
		_ = rejection(t, b)
		time.Sleep(probeTimeout - 1)
		_ = rejection(t, b)
		time.Sleep(time.Nanosecond)
		second := acquire(t, b)
		for _, p := range lost {
			p.Report(breaker.Failure) // too late
		}
		want(t, b, breaker.HalfOpen)
		second.Report(breaker.Success)
		for range probes - 1 {
			if b.State() == breaker.HalfOpen {
				call(t, b, breaker.Success)
			}
		}
		want(t, b, breaker.Closed)
	})
}

func TestLateOutcomesChangeNothing(t *testing.T) {
	onBoth(t, nil, func(t *testing.T, b *breaker.Breaker) {
		var late []*breaker.Permit
		for range 50 {
			late = append(late, acquire(t, b))
		}
		report := func(n int, o breaker.Outcome) {
			for _, p := range late[:n] {
				p.Report(o)
			}
			late = late[n:]
		}
		halfOpen(t, b)
		report(10, breaker.Success)
		probe := acquire(t, b)
		want(t, b, breaker.HalfOpen)
		report(10, breaker.Failure)
		report(10, breaker.Success)
		want(t, b, breaker.HalfOpen)
		probe.Report(breaker.Success)
		for b.State() == breaker.HalfOpen {
			call(t, b, breaker.Success)
		}
		want(t, b, breaker.Closed)
		report(20, breaker.Failure)
		want(t, b, breaker.Closed)
		if n := b.Counts(); n.Failed != 0 {
			t.Errorf("counts %+v", n)
		}
	})
}

func TestSecondOutcomeChangesNothing(t *testing.T) {
	onBoth(t, nil, func(t *testing.T, b *breaker.Breaker) {
		p := acquire(t, b)
		p.Done(nil)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { p.Done(errCall) })
		}
		wg.Wait()
		if got := b.Counts(); got != (breaker.Counts{Calls: 1}) {
			t.Errorf("counts %+v", got)
		}
		halfOpen(t, b)
		probe := acquire(t, b)
		for range 20 {
			probe.Done(nil)
		}
		want(t, b, breaker.HalfOpen)
		var zero breaker.Permit
		zero.Done(errCall)
		zero.Report(breaker.Failure)
	})
}

func TestModes(t *testing.T) {
	onBoth(t, nil, func(t *testing.T, b *breaker.Breaker) {
		b.ForceOpen()
		if r := rejection(t, b); r.Reason != breaker.Forced || r.State != breaker.Open || r.RetryAfter() != 0 {
			t.Errorf("%+v", r)
		}
		time.Sleep(time.Hour)
		_ = rejection(t, b)

		b.ForceClose()
		for range 100 {
			call(t, b, breaker.Failure)
		}
		if n := b.Counts(); n != (breaker.Counts{}) || b.Mode() != breaker.ForcedClosed {
			t.Errorf("%v, counts %+v", b.Mode(), n)
		}

		b.Reset()
		trip(t, b)
		_ = rejection(t, b)

		b.ObserveOnly()
		want(t, b, breaker.Closed)
		trip(t, b)
		for range 100 {
			call(t, b, breaker.Success) // would have been rejected, and is not counted
		}
		want(t, b, breaker.Open)

		late := acquire(t, b)
		b.Reset()
		want(t, b, breaker.Closed)
		late.Report(breaker.Failure)
		if n := b.Counts(); n != (breaker.Counts{}) || b.Mode() != breaker.Automatic {
			t.Errorf("after a reset: %v, counts %+v", b.Mode(), n)
		}
		trip(t, b)
	})
}

// TestHooksMayCallTheBreaker would hang if a hook ran under a lock.
func TestHooksMayCallTheBreaker(t *testing.T) {
	var b *breaker.Breaker
	var told []breaker.State
	look := func() { b.State(); b.Counts(); b.Mode() }
	change := func(o *breaker.Options) {
		told = nil
		o.Hooks = &breaker.Hooks{
			Changed: func(i breaker.Info) {
				told = append(told, i.State)
				look()
				if i.State == breaker.HalfOpen {
					b.Reset()
				}
			},
			Rejected: func(context.Context, breaker.Info) { look() },
			Ended:    func(context.Context, breaker.Info) { look() },
		}
	}
	onBoth(t, change, func(t *testing.T, made *breaker.Breaker) {
		b = made
		trip(t, b)
		_ = rejection(t, b)
		time.Sleep(openFor + 1)
		p := acquire(t, b)
		want(t, b, breaker.Closed)
		p.Report(breaker.Failure)
		want(t, b, breaker.Closed)
		if len(told) != 3 || told[0] != breaker.Open || told[1] != breaker.HalfOpen || told[2] != breaker.Closed {
			t.Errorf("told of %v", told)
		}
	})
}

func TestClassify(t *testing.T) {
	change := func(o *breaker.Options) {
		o.Classify = func(err error) breaker.Outcome {
			switch {
			case errors.Is(err, errCall):
				return breaker.Ignored
			case err == nil:
				return breaker.Failure
			default:
				return breaker.Success
			}
		}
	}
	onBoth(t, change, func(t *testing.T, b *breaker.Breaker) {
		for _, err := range []error{errCall, nil, context.DeadlineExceeded} {
			acquire(t, b).Done(err)
		}
		if got := b.Counts(); got != (breaker.Counts{Calls: 2, Failed: 1}) {
			t.Errorf("counts %+v", got)
		}
	})
}
