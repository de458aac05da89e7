package backendtest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/concord-go/concord/ratelimit"
)

func rateBatch(r *rates) {
	p, q := r.limit(ratelimit.TokenBucket, 5), r.limit(ratelimit.StrictWindow, 3)
	for i, d := range r.apply(
		take(p, "a", 3), take(q, "b", 1), take(p, "a", 3), take(p, "c", 5), take(p, "a", 2),
		take(q, "b", 3), of(ratelimit.OpGive, p, "a", 1), take(q, "b", 2), take(p, "a", 1), of(ratelimit.OpPeek, p, "c", 1),
	) {
		want := []struct {
			allowed bool
			left    int64
		}{{true, 2}, {true, 2}, {false, 2}, {true, 0}, {true, 0}, {false, 2}, {true, 1}, {true, 0}, {true, 0}, {false, 0}}[i]
		if d.Allowed != want.allowed || d.Remaining != want.left {
			r.broken(fmt.Sprintf("ops on a key are executed in their order (op %d)", i), d, want)
		}
	}
}

func rateBatchLarge(r *rates) {
	p := r.limit(ratelimit.TokenBucket, 1000)
	r.apply()
	const keys, times = 150, 7
	var ops []ratelimit.Op
	for i := range keys * times {
		ops = append(ops, take(p, fmt.Sprint("k", i%keys), 1))
	}
	for i, d := range r.apply(ops...) {
		if left := int64(999 - i/keys); !d.Allowed || d.Remaining != left {
			r.broken(fmt.Sprintf("each op of a large batch is answered (op %d)", i), d, left)
		}
	}
}

const crowd = 64

// together runs f in many goroutines and returns what they add up to.
func (r *rates) together(f func(i int) (int64, error)) int64 {
	r.Helper()
	var sum atomic.Int64
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i := range crowd {
		all.Go(func() {
			<-begin
			n, err := f(i)
			if err != nil {
				r.Errorf("broken promise: a healthy engine answers\n\tgot:  %v", err)
			}
			sum.Add(n)
		})
	}
	close(begin)
	all.Wait()
	return sum.Load()
}

func rateConcurrent(r *rates) {
	for _, a := range every {
		const burst = 100
		p, key := r.limit(a, burst), a.String()
		got := r.together(func(int) (got int64, err error) {
			for range 4 {
				d, err := r.ask(take(p, key, 1))
				if err != nil {
					return got, err
				}
				if d[0].Allowed {
					got++
				}
			}
			return got, nil
		})
		if got != burst {
			r.broken(fmt.Sprintf("concurrent calls on a key are let through to the last unit, and no further (%v)", a), got, burst)
		}
		r.left("then nothing is left", p, key, 0)
	}
}

func rateConcurrentBatches(r *rates) {
	const keys, each = 10, 3
	p := r.limit(ratelimit.TokenBucket, 1000)
	r.together(func(i int) (int64, error) {
		var ops []ratelimit.Op
		for j := range keys * each {
			ops = append(ops, take(p, fmt.Sprint("k", (i+j)%keys), 1))
		}
		_, err := r.ask(ops...)
		return 0, err
	})
	for i := range keys {
		r.left("concurrent batches count each op once", p, fmt.Sprint("k", i), 1000-crowd*each)
	}
}

// rateRandom compares the engine with [ratelimit.Policy.Decide], under limits that do not refill within
// the case, so that it does not matter when exactly each of the two decides: the clock of an engine cannot
// be set. What Decide says at any instant is compared with [LimitOracle], in the tests of ratelimit.
func rateRandom(r *rates) {
	rng := rand.New(rand.NewPCG(seed(r.T), 0))
	model := ratelimit.NewTable(1 << 20)
	for round := range 40 {
		limits := make([]ratelimit.Limit, 1+rng.IntN(3))
		for i := range limits {
			limits[i] = ratelimit.Limit{Name: fmt.Sprint("l", i), N: 1 + rng.Int64N(30), Per: slowly,
				Algorithm: every[rng.IntN(len(every))], Shadow: rng.IntN(5) == 0}
		}
		p := r.policy(limits...)
		most := limits[0].N
		for _, l := range limits {
			most = min(most, l.N)
		}
		for step := range 8 {
			ops := make([]ratelimit.Op, 1+rng.IntN(6))
			for i := range ops {
				ops[i] = take(p, fmt.Sprint(round, rng.IntN(2)), 1+rng.Int64N(most))
				if rng.IntN(3) == 0 {
					ops[i].Kind = ratelimit.OpTake + ratelimit.OpKind(rng.IntN(5))
				}
				if rng.IntN(3) == 0 {
					ops[i].MaxWait = ratelimit.MaxWait
				}
			}
			for i, got := range r.apply(ops...) {
				want := model.Decide(ops[i])
				if got.Allowed != want.Allowed || got.Limit != want.Limit || got.Shadow != want.Shadow || got.Remaining != want.Remaining ||
					(got.RetryAfter == 0) != (want.RetryAfter == 0) {
					r.broken(fmt.Sprintf("round %d, step %d: %+v under %+v", round, step, ops[i], p.Limits()), got, want)
				}
			}
		}
	}
}
