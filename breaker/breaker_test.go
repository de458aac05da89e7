package breaker_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/breaker"
)

// in runs a test in a bubble with a breaker of the own engine.
func in(t *testing.T, o breaker.Options, test func(*testing.T, *breaker.Breaker)) {
	synctest.Test(t, func(t *testing.T) { test(t, newBreaker(t, silent(o))) })
}

func TestFewFailuresOfManyDoNotOpen(t *testing.T) {
	in(t, breaker.Options{}, func(t *testing.T, b *breaker.Breaker) {
		for i := range 10_000 {
			o := breaker.Success
			if i%100 < 40 && i%100 >= 30 { // ten in a row, a tenth of all
				o = breaker.Failure
			}
			call(t, b, o)
			time.Sleep(time.Millisecond)
		}
		want(t, b, breaker.Closed)
	})
}

func TestFewCallsDoNotOpen(t *testing.T) {
	in(t, breaker.Options{}, func(t *testing.T, b *breaker.Breaker) {
		for range breaker.DefaultMinCalls - 1 {
			call(t, b, breaker.Failure)
		}
		want(t, b, breaker.Closed)
		call(t, b, breaker.Success) // enough calls now, and no reason to open by one that went well
		want(t, b, breaker.Closed)
		call(t, b, breaker.Failure)
		want(t, b, breaker.Open)
	})
}

func TestOldFailuresAreForgotten(t *testing.T) {
	in(t, breaker.Options{}, func(t *testing.T, b *breaker.Breaker) {
		for range 10 {
			for range breaker.DefaultMinCalls - 1 {
				call(t, b, breaker.Failure)
			}
			time.Sleep(breaker.DefaultWindow * 9 / 8)
			if n := b.Counts(); n != (breaker.Counts{}) {
				t.Fatalf("counts %+v", n)
			}
		}
		want(t, b, breaker.Closed)
	})
}

func TestSlowCallsOpen(t *testing.T) {
	o := breaker.Options{MinCalls: 4, SlowAfter: time.Second, SlowRate: 0.75, Probes: 1}
	in(t, o, func(t *testing.T, b *breaker.Breaker) {
		took := func(d time.Duration) {
			p := acquire(t, b)
			time.Sleep(d)
			p.Done(nil)
		}
		took(time.Second) // not longer
		for range 2 {
			took(time.Second + 1)
		}
		want(t, b, breaker.Closed)
		if n := b.Counts(); n != (breaker.Counts{Calls: 3, Slow: 2}) {
			t.Errorf("counts %+v", n)
		}
		took(2 * time.Second)
		want(t, b, breaker.Open)
		if r := rejection(t, b); r.Reason != breaker.TooManySlow {
			t.Errorf("%+v", r)
		}
		time.Sleep(breaker.DefaultOpenFor)
		took(2 * time.Second)
		want(t, b, breaker.Open)
		time.Sleep(2 * breaker.DefaultOpenFor)
		took(0)
		want(t, b, breaker.Closed)
	})
}

func TestRampLetsAGrowingShareThrough(t *testing.T) {
	o := breaker.Options{MinCalls: 20, Probes: 1, OpenFor: time.Second, MaxOpenFor: time.Second, Ramp: 10 * time.Second}
	in(t, o, func(t *testing.T, b *breaker.Breaker) {
		halfOpen(t, b)
		call(t, b, breaker.Success)
		want(t, b, breaker.Ramping)
		last := 0
		for step := range 4 {
			admitted := 0
			for range 4000 {
				p, err := b.Acquire(t.Context())
				var r *breaker.RejectedError
				switch {
				case err == nil:
					admitted++
					p.Done(nil)
				case !errors.As(err, &r) || r.State != breaker.Ramping || r.Reason != breaker.Recovering:
					t.Fatal(err)
				}
			}
			share := (0.05 + 0.95*float64(step)/4) * 4000
			if d := math.Abs(float64(admitted) - share); d > 5*math.Sqrt(share) || admitted <= last {
				t.Errorf("step %d: %d of 4000, want about %v", step, admitted, share)
			}
			last = admitted
			time.Sleep(o.Ramp / 4)
		}
		call(t, b, breaker.Success)
		want(t, b, breaker.Closed)
		if n := b.Counts(); n.Calls < 1000 {
			t.Errorf("the calls of the ramp are not counted: %+v", n)
		}
	})
}

func TestRampEndsWhenItRegresses(t *testing.T) {
	o := breaker.Options{MinCalls: 20, Probes: 1, OpenFor: time.Second, MaxOpenFor: 2 * time.Second, Ramp: 10 * time.Second}
	in(t, o, func(t *testing.T, b *breaker.Breaker) {
		halfOpen(t, b)
		call(t, b, breaker.Success)
		time.Sleep(9 * time.Second)
		failed := 0
		for b.State() == breaker.Ramping {
			if p, err := b.Acquire(t.Context()); err == nil {
				p.Report(breaker.Failure)
				failed++
			}
		}
		if want(t, b, breaker.Open); failed != 5 {
			t.Errorf("after %d failures, want a quarter of MinCalls", failed)
		}
		if d := rejection(t, b).RetryAfter(); d <= time.Second {
			t.Errorf("the open time does not grow: %v", d)
		}
	})
}

// fleet is a Voter that a test decides for.
type fleet struct {
	name   string
	vote   func() breaker.Vote
	opened uint64
}

func (f *fleet) Join(name string, vote func() breaker.Vote) { f.name, f.vote = name, vote }
func (f *fleet) Opened() uint64                             { return f.opened }

func TestVoter(t *testing.T) {
	f := &fleet{}
	in(t, breaker.Options{Voter: f, Probes: 1}, func(t *testing.T, b *breaker.Breaker) {
		call(t, b, breaker.Failure)
		if v := f.vote(); f.name != "b" || v.State != breaker.Closed || v.Counts != (breaker.Counts{Calls: 1, Failed: 1}) {
			t.Errorf("%q votes %+v", f.name, v)
		}
		f.opened = 1
		if r := rejection(t, b); r.Reason != breaker.Decided {
			t.Errorf("%+v", r)
		}
		if v := f.vote(); v.State != breaker.Open || v.Number != 1 || v.Reason != breaker.Decided {
			t.Errorf("votes %+v", v)
		}
		time.Sleep(breaker.DefaultOpenFor)
		call(t, b, breaker.Success)
		want(t, b, breaker.Closed) // a decision is followed once
		for range breaker.DefaultMinCalls {
			call(t, b, breaker.Failure)
		}
		f.opened = 2 // it is open already
		want(t, b, breaker.Open)
		_ = rejection(t, b)
		time.Sleep(2 * breaker.DefaultOpenFor)
		call(t, b, breaker.Success)
		call(t, b, breaker.Success)
		want(t, b, breaker.Closed)
	})
}

func TestErrorsSayWhatAndHowLong(t *testing.T) {
	in(t, breaker.Options{OpenFor: time.Hour, MaxOpenFor: time.Hour}, func(t *testing.T, b *breaker.Breaker) {
		trip(t, b)
		text := rejection(t, b).Error()
		for _, part := range []string{`breaker: acquire "b"`, "open", "too many failures", "try again in"} {
			if !strings.Contains(text, part) {
				t.Errorf("%q lacks %q", text, part)
			}
		}
		b.ForceOpen()
		if text := rejection(t, b).Error(); text != `breaker: acquire "b": open: forced` {
			t.Error(text)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.Acquire(ctx); !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), `breaker: acquire "b": `) {
			t.Error(err)
		}
	})
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		breaker.HalfOpen.String(): "half-open", breaker.State(9).String(): "unknown",
		breaker.ForcedClosed.String(): "forced closed", breaker.Ignored.String(): "ignored",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if b := newBreaker(t, nil); b.Name() != "b" {
		t.Error(b.Name())
	}
}
