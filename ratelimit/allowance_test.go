package ratelimit_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/ratelimit"
)

// remote is an engine that has to be asked. It counts how often it was.
type remote struct {
	ratelimit.Backend
	asked atomic.Int64
	down  atomic.Bool
}

func (r *remote) Apply(ctx context.Context, ops []ratelimit.Op, out []ratelimit.Outcome) {
	r.asked.Add(1)
	if r.down.Load() {
		for i := range out {
			out[i].Err = ratelimit.ErrUnavailable
		}
		return
	}
	r.Backend.Apply(ctx, ops, out)
}

// ahead runs f in virtual time with n processes that take allowances of one engine.
func ahead(t *testing.T, n int, a ratelimit.Allowance, f func(t *testing.T, r *remote, all []*ratelimit.Limiter), limits ...ratelimit.Limit) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		be, err := memorybackend.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		r := &remote{Backend: be.Limits()}
		var all []*ratelimit.Limiter
		for range n {
			l, err := ratelimit.New(r, policy(t, limits...), &ratelimit.Options{Allowance: &a, Hooks: &ratelimit.Hooks{}})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, l)
		}
		f(t, r, all)
		for _, l := range all {
			if err := l.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
}

// left asks the engine itself.
func left(t *testing.T, r *remote, limits ...ratelimit.Limit) int64 {
	t.Helper()
	var out [1]ratelimit.Outcome
	r.Backend.Apply(t.Context(), []ratelimit.Op{{Kind: ratelimit.OpPeek, Key: "k", Policy: policy(t, limits...), N: 1}}, out[:])
	if out[0].Err != nil {
		t.Fatal(out[0].Err)
	}
	return out[0].Decision.Remaining
}

// A hot key costs a request for each block, its burst is spent to the last unit, a refusal is remembered,
// and what is left over is given back.
func TestAllowances(t *testing.T) {
	limit := ratelimit.Limit{Name: "l", N: 100, Per: time.Minute, Burst: 10_000}
	ahead(t, 1, ratelimit.Allowance{}, func(t *testing.T, r *remote, all []*ratelimit.Limiter) {
		l := all[0]
		allowed := 0
		for allow(t, l, 1).Allowed {
			allowed++
		}
		if n := r.asked.Load(); allowed != 10_000 || n > 60 {
			t.Errorf("%d allowed with %d requests", allowed, n)
		}
		asked := r.asked.Load()
		for range 1000 {
			if d := allow(t, l, 1); d.Allowed || d.Source != ratelimit.FromDenial || d.RetryAfter != 600*time.Millisecond || d.Limit != "l" {
				t.Fatalf("%+v", d)
			}
		}
		if n := r.asked.Load(); n != asked {
			t.Errorf("%d more requests for what was refused", n-asked)
		}
		time.Sleep(600 * time.Millisecond)
		if d := allow(t, l, 1); !d.Allowed {
			t.Errorf("%+v", d)
		}
		if err := l.Reset(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			if d := allow(t, l, 1); !d.Allowed || d.Slack != 2 {
				t.Fatalf("%+v", d)
			}
		}
		if left(t, r, limit) >= 9000 {
			t.Error("nothing was taken ahead")
		}
		time.Sleep(2 * ratelimit.DefaultLife)
		if n := left(t, r, limit); n < 9000 || n > 9004 {
			t.Errorf("%d left: the rest was not given back", n)
		}
		for range 100 {
			allow(t, l, 1)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if n := left(t, r, limit); n < 8900 || n > 8904 {
			t.Errorf("%d left after Close", n)
		}
	}, limit)
}

// Keys that are asked for now and then are asked for one by one, so that nothing is held back from others.
func TestColdKeysAreExact(t *testing.T) {
	limit := ratelimit.Limit{Name: "l", N: 10, Per: time.Second}
	ahead(t, 2, ratelimit.Allowance{}, func(t *testing.T, r *remote, all []*ratelimit.Limiter) {
		for i := range 20 {
			before := left(t, r, limit)
			allow(t, all[i%2], 1)
			if after := left(t, r, limit); after != before-1 {
				t.Errorf("%d were taken", before-after)
			}
			time.Sleep(400 * time.Millisecond)
		}
	}, limit)
}

// Units that were taken ahead are spent also while the engine is away.
func TestAllowanceWhileDown(t *testing.T) {
	ahead(t, 1, ratelimit.Allowance{Life: time.Minute}, func(t *testing.T, r *remote, all []*ratelimit.Limiter) {
		for range 100 {
			allow(t, all[0], 1)
		}
		r.down.Store(true)
		spent := 0
		for allow(t, all[0], 1).Allowed {
			spent++
		}
		if d := allow(t, all[0], 1); spent == 0 || d.Source != ratelimit.FromFallback || d.Limit != "l" {
			t.Errorf("%d spent, then %+v", spent, d)
		}
		r.down.Store(false)
	}, ratelimit.Limit{Name: "l", N: 1e6, Per: time.Hour, Down: ratelimit.Closed})
}

// N processes on one key: never more than burst + rate*w + min(N*B, rate*L) in any time w, with Strict
// never more than the limit itself; and without blocks nothing is refused that the engine would allow.
func TestAllowanceBounds(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 5))
		limit := ratelimit.Limit{Name: "l", N: 20 + r.Int64N(2000), Per: time.Second, Burst: 1 + r.Int64N(3000)}
		a := ratelimit.Allowance{Block: 1 + r.Int64N(200)*r.Int64N(2), Life: time.Duration(50+r.IntN(500)) * time.Millisecond, Strict: seed%2 == 1}
		stray := min(4*a.Block, (limit.N*int64(a.Life)+int64(time.Second)-1)/int64(time.Second))
		if a.Strict {
			limit.Burst += limit.N * int64(a.Life) / int64(time.Second) * 2
			stray = 0
		}
		ahead(t, 4, a, func(t *testing.T, engine *remote, all []*ratelimit.Limiter) {
			type admitted struct {
				at time.Duration
				n  int64
			}
			var log []admitted
			start := time.Now()
			for range 1500 {
				l := all[r.IntN(len(all))]
				n := 1 + r.Int64N(min(3, limit.Burst))
				d, err := l.AllowN(t.Context(), "k", n)
				if err != nil {
					if a.Strict && errors.Is(err, ratelimit.ErrInvalid) {
						continue // larger than what is left of the burst
					}
					t.Fatal(err)
				}
				if d.Allowed {
					log = append(log, admitted{time.Since(start), n})
				}
				if d.Source == ratelimit.FromDenial && a.Block == 1 && !a.Strict { // nobody gives anything back
					var out [1]ratelimit.Outcome
					engine.Backend.Apply(t.Context(), []ratelimit.Op{{Kind: ratelimit.OpPeek, Key: "k", Policy: policy(t, limit), N: n}}, out[:])
					if out[0].Decision.Allowed {
						t.Fatalf("seed %d: refused without need", seed)
					}
				}
				if r.IntN(3) == 0 {
					time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
				}
			}
			for i := range log {
				total := int64(0)
				for _, b := range log[i:] {
					total += b.n
					w := b.at - log[i].at
					if most := limit.Burst + int64(w)*limit.N/int64(time.Second) + stray; total > most {
						t.Fatalf("seed %d: %+v %+v: %d in %v, more than %d", seed, limit, a, total, w, most)
					}
				}
			}
		}, limit)
	}
}

func TestAllowanceOptions(t *testing.T) {
	be, err := memorybackend.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &remote{Backend: be.Limits()}
	limit := ratelimit.Limit{Name: "l", N: 100, Per: time.Second}
	for _, a := range []ratelimit.Allowance{{Block: -1}, {Block: 1 << 21}, {Life: 1}, {Life: time.Hour}, {Strict: true}} {
		if _, err := ratelimit.New(r, policy(t, limit), &ratelimit.Options{Allowance: &a}); !errors.Is(err, ratelimit.ErrInvalid) {
			t.Errorf("%+v: %v", a, err)
		}
	}
	for algorithm, ok := range map[ratelimit.Algorithm]bool{ratelimit.FixedWindow: false, ratelimit.SlidingWindow: false, ratelimit.StrictWindow: true} {
		limit.Algorithm = algorithm
		l, err := ratelimit.New(r, policy(t, limit), &ratelimit.Options{Allowance: &ratelimit.Allowance{Strict: true}})
		if (err == nil) != ok {
			t.Errorf("%v: %v", algorithm, err)
		}
		if l != nil {
			if err := l.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}

// The burst goes to many goroutines, to the last unit and no further.
func TestAllowanceOfManyGoroutines(t *testing.T) {
	limit := ratelimit.Limit{Name: "l", N: 1, Per: time.Hour, Burst: 5000}
	ahead(t, 4, ratelimit.Allowance{Life: time.Minute}, func(t *testing.T, _ *remote, all []*ratelimit.Limiter) {
		var allowed atomic.Int64
		done := make(chan struct{})
		for i := range 64 {
			go func() {
				defer func() { done <- struct{}{} }()
				for range 200 {
					if d, err := all[i%4].Allow(t.Context(), "k"); err == nil && d.Allowed {
						allowed.Add(1)
					}
				}
			}()
		}
		for range 64 {
			<-done
		}
		if n := allowed.Load(); n > 5000 || n < 4000 {
			t.Errorf("%d allowed", n)
		}
	}, limit)
}
