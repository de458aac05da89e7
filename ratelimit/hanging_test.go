package ratelimit_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/ratelimit"
)

// slow is an engine that has to be asked, takes its time to answer, and has limiters take allowances.
type slow struct {
	ratelimit.Backend
	takes time.Duration
}

func (s *slow) Apply(ctx context.Context, ops []ratelimit.Op, out []ratelimit.Outcome) {
	select {
	case <-time.After(s.takes):
		s.Backend.Apply(ctx, ops, out)
	case <-ctx.Done():
		for i := range out {
			out[i].Err = ctx.Err()
		}
	}
}

func (s *slow) Capabilities() ratelimit.Capabilities { return ratelimit.Capabilities{Block: true} }

// through returns a limiter that takes allowances of an engine that takes so long.
func through(t *testing.T, takes time.Duration, o ratelimit.Options) *ratelimit.Limiter {
	t.Helper()
	be, err := memorybackend.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	o.Hooks = &ratelimit.Hooks{}
	l, err := ratelimit.New(&slow{be.Limits(), takes}, policy(t, ratelimit.Limit{Name: "l", N: 1e6, Per: time.Second}), &o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func end(t *testing.T, l *ratelimit.Limiter) {
	t.Helper()
	if err := l.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// Many callers share the allowance of a key whose engine hangs: none of them waits for the others.
func TestCallersDoNotQueueBehindAHangingEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 100 * time.Millisecond
		l := through(t, time.Hour, ratelimit.Options{Timeout: timeout})
		start := time.Now()
		var all sync.WaitGroup
		for range 32 {
			all.Go(func() {
				if d := allow(t, l, 1); d.Source != ratelimit.FromFallback {
					t.Errorf("%+v", d)
				}
				if took := time.Since(start); took != timeout {
					t.Errorf("decided after %v", took)
				}
			})
		}
		all.Wait()
		end(t, l)
	})
}

// Units whose answer took longer than they live are not spent, but by the call that asked for them.
func TestLateAllowance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := through(t, 100*time.Millisecond, ratelimit.Options{Timeout: time.Second, Allowance: &ratelimit.Allowance{Life: 50 * time.Millisecond}})
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if d := allow(t, l, 1); !d.Allowed || d.Source != ratelimit.FromEngine {
					t.Errorf("%+v", d)
				}
			})
		}
		all.Wait()
		end(t, l)
	})
}

// The timer of a key may go off before anything is known of it. It runs in real time, for the race
// detector: virtual time puts all that happens in order.
func TestTimerOfAnUnansweredKey(t *testing.T) {
	l := through(t, time.Hour, ratelimit.Options{Timeout: 100 * time.Millisecond, Allowance: &ratelimit.Allowance{Life: 10 * time.Millisecond}})
	if d := allow(t, l, 1); d.Source != ratelimit.FromFallback {
		t.Errorf("%+v", d)
	}
	end(t, l)
}
