package ratelimit_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/concord-go/concord/backend/backendtest"
	"github.com/concord-go/concord/ratelimit"
)

// In no time is more let through than the algorithm promises, whatever the costs and gaps; who waits for
// RetryAfter is let through; and a caller that always asks for single units gets what the limit allows.
func TestBounds(t *testing.T) {
	for seed := range uint64(600) {
		r := rand.New(rand.NewPCG(seed, 11))
		l := ratelimit.Limit{Name: "l", N: 1 + r.Int64N(pow(r, 7)), Per: time.Duration(1+r.Int64N(1e6)) * time.Millisecond, Algorithm: algorithms[seed%4]}
		fits := l.N
		if l.Algorithm == ratelimit.TokenBucket {
			l.Burst = 1 + r.Int64N(2*l.N)
			fits = l.Burst
		}
		greedy := r.IntN(2) == 0
		costs := int64(1) // at most
		if !greedy || r.IntN(2) == 0 {
			costs = min(fits, 4)
		}
		p := policy(t, l)
		state := make([]int64, p.Words())
		take := func(state []int64, now, n int64) ratelimit.Decision {
			return p.Decide(state, now, &ratelimit.Op{Policy: p, Kind: ratelimit.OpTake, N: n})
		}
		var log backendtest.Passed
		start := begin + r.Int64N(l.Per.Microseconds())
		now, asked, d := start, start, ratelimit.Decision{Allowed: true}
		for step := 0; step < 300 || greedy && d.Allowed; step++ {
			n := 1 + r.Int64N(costs)
			asked, d = now, take(state, now, n)
			retry := d.RetryAfter.Microseconds()
			switch {
			case d.Allowed:
				log.Add(time.UnixMicro(now), time.UnixMicro(now), n)
			case retry <= 0:
				t.Fatalf("seed %d: refused and may try again at once: %+v", seed, d)
			case !take(slices.Clone(state), now+retry, n).Allowed, take(slices.Clone(state), now+retry-1, n).Allowed:
				t.Fatalf("seed %d: %v: RetryAfter %v is wrong", seed, l.Algorithm, d.RetryAfter)
			}
			if !greedy {
				now += r.Int64N(1 + l.Per.Microseconds()/(1+r.Int64N(2*l.N)))
			} else if !d.Allowed {
				now += retry
			}
		}
		if err := log.Check(l, 0); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		lasted := time.Duration(asked-start) * time.Microsecond
		if least := backendtest.AtLeast(l, lasted); greedy && costs == 1 && log.Units() < least {
			t.Errorf("seed %d: %+v: %d in %v, want %d", seed, l, log.Units(), lasted, least)
		}
	}
}
