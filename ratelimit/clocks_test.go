package ratelimit_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/concord-go/concord/backend/backendtest"
	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/ratelimit"
)

var algorithms = []ratelimit.Algorithm{ratelimit.TokenBucket, ratelimit.FixedWindow, ratelimit.SlidingWindow, ratelimit.StrictWindow}

// Processes whose clocks differ, which is possible where the engine has none, let through in any time
// what one process does in that and the difference. A slow clock sets nothing back.
func TestClocksThatDiffer(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 3))
		l := ratelimit.Limit{Name: "l", N: 1 + r.Int64N(20), Per: time.Second, Algorithm: algorithms[seed%4]}
		p := policy(t, l)
		apart := 1 + r.Int64N(900_000)
		clocks := []int64{0, r.Int64N(apart), apart}
		state := make([]int64, p.Words())
		var log backendtest.Passed
		now := begin
		for range 500 {
			now += r.Int64N(60_000)
			op := &ratelimit.Op{Kind: ratelimit.OpTake, Policy: p, N: 1}
			if p.Decide(state, now+clocks[r.IntN(len(clocks))], op).Allowed {
				log.Add(time.UnixMicro(now), time.UnixMicro(now+apart), 1)
			}
		}
		if err := log.Check(l, 0); err != nil {
			t.Fatalf("seed %d: with clocks %dµs apart: %v", seed, apart, err)
		}
	}
}

// However often the policy is changed, and with clocks that differ, the changes let nothing through by
// themselves.
func TestChangesMintNothing(t *testing.T) {
	const apart, lasts = 200_000, 2_000_000 // µs
	for _, a := range algorithms {
		for _, how := range []ratelimit.Migration{ratelimit.AsIs, ratelimit.Proportional} {
			few := ratelimit.Limit{Name: "l", N: 10, Per: time.Second, Algorithm: a}
			many := few
			many.N = 20
			bubble(t, nil, func(t *testing.T, _ *memorybackend.Backend, l *ratelimit.Limiter) {
				policies := []*ratelimit.Policy{policy(t, few), policy(t, many)}
				state := make([]int64, policies[0].Words())
				allowed := int64(0)
				for i := range int64(lasts / 1000) {
					if i%10 == 0 {
						if err := l.SetPolicy(policies[i/10%2], how, 1+i); err != nil {
							t.Fatal(err)
						}
					}
					op := &ratelimit.Op{Kind: ratelimit.OpTake, Policy: l.Policy(), N: 1}
					if l.Policy().Decide(state, begin+1000*i-apart*(i%2), op).Allowed {
						allowed++
					}
				}
				if most := backendtest.AtMost(many, (lasts+apart)*time.Microsecond); allowed > most || allowed < few.N {
					t.Errorf("%v, migration %d: %d let through, want %d to %d", a, how, allowed, few.N, most)
				}
			}, few)
		}
	}
}
