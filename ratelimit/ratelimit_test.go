package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/ratelimit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bubble runs f in virtual time with a limiter on a fresh memory backend.
func bubble(t *testing.T, o *ratelimit.Options, f func(t *testing.T, be *memorybackend.Backend, l *ratelimit.Limiter), limits ...ratelimit.Limit) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		be, err := memorybackend.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		if o == nil {
			o = &ratelimit.Options{Hooks: &ratelimit.Hooks{}}
		}
		l, err := ratelimit.New(be.Limits(), policy(t, limits...), o)
		if err != nil {
			t.Fatal(err)
		}
		f(t, be, l)
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := be.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func policy(t testing.TB, limits ...ratelimit.Limit) *ratelimit.Policy {
	t.Helper()
	p, err := ratelimit.NewPolicy(limits...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// perSecond is ten a second, five at once.
var perSecond = ratelimit.Limit{Name: "second", N: 10, Per: time.Second, Burst: 5}

func allow(t *testing.T, l *ratelimit.Limiter, n int64) ratelimit.Decision {
	t.Helper()
	d, err := l.AllowN(t.Context(), "k", n)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAllow(t *testing.T) {
	var told []ratelimit.Info
	hooks := &ratelimit.Hooks{Decided: func(i ratelimit.Info) { told = append(told, i) }}
	bubble(t, &ratelimit.Options{Hooks: hooks}, func(t *testing.T, _ *memorybackend.Backend, l *ratelimit.Limiter) {
		want := ratelimit.Decision{Allowed: true, Limit: "second", Remaining: 2, ResetAfter: 300 * time.Millisecond, Source: ratelimit.FromEngine}
		if d := allow(t, l, 3); d != want {
			t.Errorf("%+v", d)
		}
		want = ratelimit.Decision{Limit: "second", Remaining: 2, RetryAfter: 200 * time.Millisecond, ResetAfter: 300 * time.Millisecond, Source: ratelimit.FromEngine}
		if d := allow(t, l, 4); d != want {
			t.Errorf("%+v", d)
		}
		if d, err := l.Peek(t.Context(), "k", 2); err != nil || !d.Allowed || d.Remaining != 2 {
			t.Errorf("%+v, %v", d, err)
		}
		if d, err := l.Allow(t.Context(), "another"); err != nil || d.Remaining != 4 {
			t.Errorf("%+v, %v", d, err)
		}
		if err := l.Refund(t.Context(), "k", 3); err != nil {
			t.Error(err)
		}
		if d := allow(t, l, 5); !d.Allowed || d.Remaining != 0 {
			t.Errorf("%+v", d)
		}
		if err := l.Reset(t.Context(), "k"); err != nil {
			t.Error(err)
		}
		if d := allow(t, l, 5); !d.Allowed {
			t.Errorf("%+v", d)
		}
	}, perSecond)
	if len(told) != 5 || told[1].Decision.Allowed || told[0].Key != "k" || told[0].N != 3 {
		t.Errorf("told %+v", told)
	}
}

// Who waits goes in the order of arrival, at the pace of the limit, and one that gives up leaves its
// place to those behind.
func TestWaitInOrder(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *memorybackend.Backend, l *ratelimit.Limiter) {
		var mu sync.Mutex
		var order []string
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				if err := l.Wait(t.Context(), "k"); err != nil {
					t.Error(err)
				}
				mu.Lock()
				order = append(order, fmt.Sprint(i, " ", time.Since(start)))
				mu.Unlock()
			})
			synctest.Wait()
		}
		wg.Wait()
		want := []string{"0 0s", "1 0s", "2 0s", "3 0s", "4 0s", "5 100ms", "6 200ms", "7 300ms"}
		if !slices.Equal(order, want) {
			t.Errorf("%q", order)
		}

		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		var limited *ratelimit.LimitedError
		if err := l.WaitN(ctx, "k", 5); !errors.As(err, &limited) || !errors.Is(err, ratelimit.ErrLimited) || limited.RetryAfter() <= 50*time.Millisecond {
			t.Errorf("what cannot fit: %v", err)
		}
		if time.Since(start) != 300*time.Millisecond {
			t.Errorf("refused after %v", time.Since(start))
		}
		gone, leave := context.WithCancel(t.Context())
		result := make(chan error)
		go func() { result <- l.WaitN(gone, "k", 5) }()
		synctest.Wait()
		leave()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if d, err := l.Peek(t.Context(), "k", 1); err != nil || d.ResetAfter != 500*time.Millisecond {
			t.Errorf("what was given up is still counted: %+v, %v", d, err)
		}
	}, perSecond)
}

// Windows cannot be reserved: who waits asks again.
func TestWaitForAWindow(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *memorybackend.Backend, l *ratelimit.Limiter) {
		start := time.Now()
		for range 7 {
			if err := l.Wait(t.Context(), "k"); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d < time.Minute || d > 3*time.Minute {
			t.Errorf("seven of three a minute took %v", d)
		}
	}, ratelimit.Limit{Name: "minute", N: 3, Per: time.Minute, Algorithm: ratelimit.StrictWindow})
}

func TestReserve(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *memorybackend.Backend, l *ratelimit.Limiter) {
		ctx := t.Context()
		left := func() int64 {
			t.Helper()
			d, err := l.Peek(ctx, "k", 1)
			if err != nil {
				t.Fatal(err)
			}
			return d.Remaining
		}
		r, err := l.Reserve(ctx, "k", 3, 0)
		if err != nil || !r.Decision.Allowed || r.Decision.Wait != 0 || left() != 2 {
			t.Fatalf("%+v, %v", r, err)
		}
		for _, c := range []struct{ cost, left int64 }{{1, 4}, {4, 1}, {4, 1}, {0, 5}, {2, 3}} {
			if err := r.Settle(ctx, c.cost); err != nil || left() != c.left {
				t.Errorf("settled at %d: %d left, %v", c.cost, left(), err)
			}
		}
		if err := r.Settle(ctx, 9); err != nil || left() != 0 {
			t.Errorf("debt: %v", err)
		}
		if d := allow(t, l, 1); d.Allowed || d.RetryAfter != 300*time.Millisecond { // a burst more was counted, and one is asked
			t.Errorf("%+v", d)
		}
		later, err := l.Reserve(ctx, "k", 1, time.Second)
		if err != nil || !later.Decision.Allowed || later.Decision.Wait != 300*time.Millisecond {
			t.Fatalf("%+v, %v", later, err)
		}
		if err := later.Cancel(ctx); err != nil {
			t.Error(err)
		}
		refused, err := l.Reserve(ctx, "k", 1, time.Millisecond)
		if err != nil || refused.Decision.Allowed || refused.Cancel(ctx) != nil {
			t.Errorf("%+v, %v", refused, err)
		}
		for _, d := range []time.Duration{-1, ratelimit.MaxWait + 1} {
			if _, err := l.Reserve(ctx, "k", 1, d); !errors.Is(err, ratelimit.ErrInvalid) {
				t.Errorf("%v: %v", d, err)
			}
		}
		if err := r.Settle(ctx, -1); !errors.Is(err, ratelimit.ErrInvalid) {
			t.Error(err)
		}
	}, perSecond)
}

// While the engine does not answer each limit decides as it was told to, in time.
func TestDown(t *testing.T) {
	for _, c := range []struct {
		down    []ratelimit.Down
		allowed int // of 10 calls
	}{
		{[]ratelimit.Down{ratelimit.Open}, 10},
		{[]ratelimit.Down{ratelimit.Closed}, 0},
		{[]ratelimit.Down{ratelimit.Share}, 3},
		{[]ratelimit.Down{ratelimit.Open, ratelimit.Share}, 3},
		{[]ratelimit.Down{ratelimit.Open, ratelimit.Closed, ratelimit.Share}, 0},
	} {
		var limits []ratelimit.Limit
		for i, d := range c.down {
			limits = append(limits, ratelimit.Limit{Name: fmt.Sprint("l", i), N: 30, Per: time.Hour, Down: d})
		}
		failed := 0
		o := &ratelimit.Options{Hooks: &ratelimit.Hooks{Failed: func(i ratelimit.Info) {
			failed++
			if !errors.Is(i.Err, ratelimit.ErrUnavailable) {
				t.Error(i.Err)
			}
		}}}
		bubble(t, o, func(t *testing.T, be *memorybackend.Backend, l *ratelimit.Limiter) {
			be.Control().FailNext(1<<20, ratelimit.ErrUnavailable)
			allowed := 0
			for range 10 {
				if i := allow(t, l, 1); i.Source != ratelimit.FromFallback {
					t.Errorf("%+v", i)
				} else if i.Allowed {
					allowed++
				}
			}
			if allowed != c.allowed || failed != 10 {
				t.Errorf("%v: %d allowed, %d failures told", c.down, allowed, failed)
			}
			for _, err := range []error{l.Refund(t.Context(), "k", 1), l.Reset(t.Context(), "k")} {
				if !errors.Is(err, ratelimit.ErrUnavailable) {
					t.Error(err)
				}
			}
			be.Control().FailNext(0, nil)
			be.Control().Delay(time.Hour)
			start := time.Now()
			if d := allow(t, l, 1); d.Source != ratelimit.FromFallback || time.Since(start) != ratelimit.DefaultTimeout {
				t.Errorf("after %v: %+v", time.Since(start), d)
			}
			be.Control().Delay(0)
			if d := allow(t, l, 1); d.Source != ratelimit.FromEngine || d.Remaining != 29 {
				t.Errorf("it is back: %+v", d)
			}
		}, limits...)
	}
}

// An engine that never returns costs a bounded number of goroutines, and Close names it.
func TestHangingEngine(t *testing.T) {
	bubble(t, nil, func(t *testing.T, be *memorybackend.Backend, _ *ratelimit.Limiter) {
		hanging := &hanging{Backend: be.Limits(), release: make(chan struct{})}
		l, err := ratelimit.New(hanging, policy(t, perSecond), &ratelimit.Options{Timeout: time.Millisecond, Hooks: &ratelimit.Hooks{}})
		if err != nil {
			t.Fatal(err)
		}
		for range 200 {
			if d := allow(t, l, 1); d.Source != ratelimit.FromFallback || !d.Allowed {
				t.Fatalf("%+v", d)
			}
		}
		synctest.Wait()
		if n := hanging.calls.Load(); n != 64 {
			t.Errorf("%d calls hang", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if _, err := l.Allow(t.Context(), "k"); !errors.Is(err, ratelimit.ErrClosed) {
			t.Error(err)
		}
		close(hanging.release)
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}, perSecond)
}

type hanging struct {
	ratelimit.Backend
	calls   atomic.Int64
	release chan struct{}
}

func (h *hanging) Apply(context.Context, []ratelimit.Op, []ratelimit.Outcome) {
	h.calls.Add(1)
	<-h.release
}

func TestSetPolicy(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *memorybackend.Backend, l *ratelimit.Limiter) {
		allow(t, l, 4)
		double := ratelimit.Limit{Name: "second", N: 20, Per: time.Second, Burst: 10}
		if err := l.SetPolicy(policy(t, double), ratelimit.Proportional, 1); err != nil {
			t.Fatal(err)
		}
		if d := allow(t, l, 1); d.Remaining != 1 {
			t.Errorf("%+v", d)
		}
		if err := l.SetPolicy(policy(t, perSecond), ratelimit.Fresh, 7); err != nil {
			t.Fatal(err)
		}
		if d := allow(t, l, 1); d.Remaining != 4 {
			t.Errorf("%+v", d)
		}
		for _, err := range []error{
			l.SetPolicy(nil, ratelimit.AsIs, 8), l.SetPolicy(&ratelimit.Policy{}, ratelimit.AsIs, 8),
			l.SetPolicy(policy(t, double), ratelimit.AsIs, 7), l.SetPolicy(policy(t, double), 9, 8),
			l.SetPolicy(policy(t, double), ratelimit.AsIs, ratelimit.MaxVersion+1),
		} {
			if !errors.Is(err, ratelimit.ErrInvalid) {
				t.Error(err)
			}
		}
		if l.Policy().Version() != 7 {
			t.Error(l.Policy().Version())
		}
	}, perSecond)
}

func TestHandles(t *testing.T) {
	bubble(t, nil, func(t *testing.T, _ *memorybackend.Backend, l *ratelimit.Limiter) {
		for name, h := range map[string]*ratelimit.Handle{"for": l.For("k"), "from": ratelimit.FromRate(xtime{l.For("other")})} {
			if !h.Allow() || !h.AllowN(time.Now(), 4) || h.Allow() {
				t.Errorf("%s: allow", name)
			}
			start := time.Now()
			if err := h.Wait(t.Context()); err != nil || time.Since(start) != 100*time.Millisecond {
				t.Errorf("%s: waited %v, %v", name, time.Since(start), err)
			}
			r := h.ReserveN(time.Now(), 2)
			if !r.OK() || r.Delay() != 200*time.Millisecond {
				t.Errorf("%s: %v", name, r.Delay())
			}
			r.Cancel()
			if r := h.Reserve(); r.Delay() != 100*time.Millisecond {
				t.Errorf("%s: %v", name, r.Delay())
			}
			if h.AllowN(time.Now(), 0) || h.ReserveN(time.Now(), 99).OK() {
				t.Errorf("%s: out of bounds", name)
			}
		}
	}, perSecond)
}

// xtime has the signatures of a *rate.Limiter.
type xtime struct{ h *ratelimit.Handle }

func (x xtime) AllowN(at time.Time, n int) bool             { return x.h.AllowN(at, n) }
func (x xtime) WaitN(ctx context.Context, n int) error      { return x.h.WaitN(ctx, n) }
func (x xtime) ReserveN(at time.Time, n int) ratelimit.Hold { return x.h.ReserveN(at, n) }

func TestBadInput(t *testing.T) {
	good := ratelimit.Limit{Name: "l", N: 1, Per: time.Second}
	change := func(f func(*ratelimit.Limit)) ratelimit.Limit { l := good; f(&l); return l }
	for field, limits := range map[string][]ratelimit.Limit{
		"limits": nil,
		"Name":   {change(func(l *ratelimit.Limit) { l.Name = "" })},
		"Name ":  {change(func(l *ratelimit.Limit) { l.Name = "a b" })},
		"Name  ": {good, good},
		"N":      {change(func(l *ratelimit.Limit) { l.N = 0 })},
		"N ":     {change(func(l *ratelimit.Limit) { l.N = -1 })},
		"N  ":    {change(func(l *ratelimit.Limit) { l.N = ratelimit.MaxUnits + 1 })},
		"Per":    {change(func(l *ratelimit.Limit) { l.Per = 0 })},
		"Per ":   {change(func(l *ratelimit.Limit) { l.Per = 1500 })},
		"Per  ":  {change(func(l *ratelimit.Limit) { l.Per = 367 * 24 * time.Hour })},
		"Burst":  {change(func(l *ratelimit.Limit) { l.Burst = -1 })},
		"Burst ": {change(func(l *ratelimit.Limit) { l.Burst, l.Algorithm = 1, ratelimit.FixedWindow })},
		"N    ":  {change(func(l *ratelimit.Limit) { l.Per, l.Burst = time.Hour, 1e9 })},
		"N     ": {change(func(l *ratelimit.Limit) {
			l.N, l.Per, l.Algorithm = ratelimit.MaxUnits, 24*time.Hour+time.Microsecond, ratelimit.SlidingWindow
		})},
		"Algorithm": {change(func(l *ratelimit.Limit) { l.Algorithm = 9 })},
		"Down":      {change(func(l *ratelimit.Limit) { l.Down = 9 })},
	} {
		var bad *ratelimit.InvalidError
		if _, err := ratelimit.NewPolicy(limits...); !errors.As(err, &bad) || !strings.HasSuffix(bad.Field, strings.TrimSpace(field)) {
			t.Errorf("%s: %v", field, err)
		}
	}
	be, err := memorybackend.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []*ratelimit.Options{{Timeout: 1}, {Timeout: time.Hour}, {Share: -1}, {Share: 2}} {
		if _, err := ratelimit.New(be.Limits(), policy(t, good), o); !errors.Is(err, ratelimit.ErrInvalid) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := ratelimit.New(nil, nil, nil); err == nil || !strings.Contains(err.Error(), "backend must") || !strings.Contains(err.Error(), "policy must") {
		t.Error(err)
	}
	bubble(t, nil, func(t *testing.T, _ *memorybackend.Backend, l *ratelimit.Limiter) {
		for _, c := range []struct {
			key string
			n   int64
		}{{"", 1}, {strings.Repeat("k", 513), 1}, {"k", 0}, {"k", -1}, {"k", 6}, {"k", 1 << 62}} {
			if _, err := l.AllowN(t.Context(), c.key, c.n); !errors.Is(err, ratelimit.ErrInvalid) {
				t.Errorf("%d bytes, %d: %v", len(c.key), c.n, err)
			}
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.WaitN(gone, "k", 5); !errors.Is(err, context.Canceled) {
			t.Errorf("a context that has ended: %v", err)
		}
		if d := allow(t, l, 5); !d.Allowed {
			t.Errorf("something was counted: %+v", d)
		}
	}, perSecond)
}
