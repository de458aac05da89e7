package ratelimit_test

import (
	"testing"
	"time"

	"github.com/concord-go/concord/ratelimit"
)

// lets asks for a unit every so often, from an instant on, and returns how many it got.
func lets(p *ratelimit.Policy, state []int64, from int64, times int, every time.Duration) (n int) {
	for i := range times {
		now := from + int64(i)*every.Microseconds()
		if p.Decide(state, now, &ratelimit.Op{Kind: ratelimit.OpTake, Policy: p, N: 1}).Allowed {
			n++
		}
	}
	return n
}

// A limit of one lets one through again and again, also where the window before counts in part.
func TestLimitOfOne(t *testing.T) {
	for _, a := range algorithms {
		p := policy(t, ratelimit.Limit{Name: "l", N: 1, Per: time.Second, Algorithm: a})
		if n := lets(p, make([]int64, p.Words()), begin, 10_000, 10*time.Millisecond); n < 49 || n > 101 {
			t.Errorf("%v: %d in 100 s", a, n)
		}
	}
}

// What a rest is worth is what the package comment says of it: a burst, and twice the N in the first
// Per unless the burst is smaller; but not more after a longer one, and nothing in a strict window.
func TestAfterARest(t *testing.T) {
	for _, c := range []struct {
		limit ratelimit.Limit
		want  int
	}{
		{ratelimit.Limit{Name: "l", N: 10, Per: time.Second}, 20},
		{ratelimit.Limit{Name: "l", N: 10, Per: time.Second, Burst: 1}, 11},
		{ratelimit.Limit{Name: "l", N: 10, Per: time.Second, Algorithm: ratelimit.StrictWindow}, 10},
	} {
		p := policy(t, c.limit)
		state := make([]int64, p.Words())
		now := begin
		for _, rest := range []time.Duration{0, time.Minute, 300 * 24 * time.Hour} {
			now += int64(time.Second+rest) / 1000
			if n := lets(p, state, now, 1001, time.Millisecond); n != c.want {
				t.Errorf("%+v: %d in a second after %v, want %d", c.limit, n, rest, c.want)
			}
			now += 1_000_000
		}
	}
}
