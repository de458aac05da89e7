package backendtest

import (
	"math/big"
	"slices"
	"time"

	"github.com/concord-go/concord/ratelimit"
)

// worstOfSlope returns for each end the start from which on the most was let through, measured by a bound
// that grows by N*w/Per: where N*s - Per*begun(s) is largest, whatever the end is.
func worstOfSlope(l ratelimit.Limit, starts, ends []edge) []int {
	worst, last, most := make([]int, len(ends)), 0, (*big.Int)(nil)
	next := 0
	for i, e := range ends {
		for ; next < len(starts) && starts[next].at <= e.at; next++ {
			s := starts[next]
			v := product(l.N, int64(s.at))
			v.Sub(v, product(int64(l.Per), s.before))
			if most == nil || v.Cmp(most) > 0 {
				last, most = next, v
			}
		}
		worst[i] = last
	}
	return worst
}

// worstOfSteps is the same for a bound that grows by N with each Per begun. Instants are a number of whole
// Per and a rest. From s to e as many Per have begun as their numbers differ, and one more if the rest of
// e is larger. So it is the largest of N*number(s) - begun(s) that matters; among all starts, with N less
// for that one, and among those whose rest is no smaller than that of e.
func worstOfSteps(l ratelimit.Limit, starts, ends []edge) []int {
	rest := func(at time.Duration) time.Duration { return at % l.Per }
	values, rests := make([]*big.Int, len(starts)), make([]time.Duration, len(starts))
	for i, s := range starts {
		v := product(l.N, int64(s.at/l.Per))
		values[i], rests[i] = v.Sub(v, big.NewInt(s.before)), rest(s.at)
	}
	slices.Sort(rests)
	better := func(a, b int) int {
		if a < 0 || b >= 0 && values[b].Cmp(values[a]) > 0 {
			return b
		}
		return a
	}
	// A Fenwick tree over the rests, the largest first: the best start of each range, or -1.
	best := slices.Repeat([]int{-1}, len(rests)+1)
	larger := func(than time.Duration) int { // how many rests are at least that
		first, _ := slices.BinarySearch(rests, than)
		return len(rests) - first
	}
	worst, last, next := make([]int, len(ends)), -1, 0
	n := big.NewInt(l.N)
	for i, e := range ends {
		for ; next < len(starts) && starts[next].at <= e.at; next++ {
			last = better(last, next)
			for k := larger(rest(starts[next].at)); k < len(best); k += k & -k {
				best[k] = better(best[k], next)
			}
		}
		same := -1
		for k := larger(rest(e.at + grain)); k > 0; k -= k & -k {
			same = better(same, best[k])
		}
		worst[i] = last
		if same >= 0 && new(big.Int).Sub(values[last], n).Cmp(values[same]) <= 0 {
			worst[i] = same
		}
	}
	return worst
}

func product(a, b int64) *big.Int { return new(big.Int).Mul(big.NewInt(a), big.NewInt(b)) }
