package backendtest

import (
	"cmp"
	"math/big"
	"slices"
	"time"

	"github.com/concord-go/concord/ratelimit"
)

// LimitOracle says what a policy decides about one key, worked out slowly and straight from what package
// ratelimit says that its algorithms mean. It shares no code with [ratelimit.Policy.Decide], which must
// say the same in every field: so whoever decides elsewhere, in a script or in another language, can be
// held against either.
//
// It knows one thing about each limit: how much is counted at an instant, if nobody calls until then.
// When something fits, or nothing is counted any more, it finds by looking for the first such instant.
// The numbers have no bounds and no fractions.
//
// It knows nothing of earlier versions of the policy. It must not be used by several goroutines. The zero
// LimitOracle is not usable; make one with [NewLimitOracle].
type LimitOracle struct {
	policy *ratelimit.Policy
	limits []oracleLimit
}

// NewLimitOracle returns the oracle of a key without history.
func NewLimitOracle(p *ratelimit.Policy) *LimitOracle {
	o := &LimitOracle{policy: p}
	o.reset()
	return o
}

func (o *LimitOracle) reset() {
	o.limits = nil
	for _, l := range o.policy.Limits() {
		o.limits = append(o.limits, newOracleLimit(l))
	}
}

// Decide returns the decision about an op at an instant, in microseconds since 1970. The key and the
// policy that the op names do not matter.
func (o *LimitOracle) Decide(at int64, op ratelimit.Op) ratelimit.Decision {
	if op.Kind == ratelimit.OpReset {
		o.reset()
	}
	d := ratelimit.Decision{Allowed: true, Source: ratelimit.FromEngine}
	fits, waits := make([]bool, len(o.limits)), make([]int64, len(o.limits))
	for i, l := range o.limits {
		l.advance(at)
		if op.Kind != ratelimit.OpTake && op.Kind != ratelimit.OpPeek {
			continue
		}
		waits[i] = l.after(at, op.N)
		fits[i] = waits[i] == 0 || l.Algorithm == ratelimit.TokenBucket && waits[i] <= op.MaxWait.Microseconds()
		switch {
		case !l.Shadow:
			d.Allowed = d.Allowed && fits[i]
			d.Wait = max(d.Wait, micros(waits[i]))
		case !fits[i]:
			d.Shadow = cmp.Or(d.Shadow, l.Name)
		}
	}
	if !d.Allowed {
		d.Wait = 0
	}
	for i, l := range o.limits {
		switch n := min(op.N, l.most); {
		case op.Kind == ratelimit.OpCharge, op.Kind == ratelimit.OpTake && d.Allowed && fits[i]:
			l.take(n)
		case op.Kind == ratelimit.OpGive:
			l.give(n)
		}
	}

	i := o.matters(at, d.Allowed, waits)
	l := o.limits[i]
	d.Limit, d.Remaining, d.ResetAfter = l.Name, l.left(at), micros(l.after(at, l.most))
	switch {
	case !d.Allowed:
		d.RetryAfter = micros(waits[i])
	case d.Remaining == 0:
		d.NextAfter = micros(l.after(at, 1))
	}
	return d
}

// matters returns the limit that the decision tells of: the first one of those that matter most.
func (o *LimitOracle) matters(at int64, allowed bool, waits []int64) int {
	var all []int
	for i := range o.limits {
		all = append(all, i)
	}
	return slices.MinFunc(all, func(i, j int) int {
		a, b := o.limits[i], o.limits[j]
		switch {
		case !a.Shadow && b.Shadow:
			return -1
		case a.Shadow && !b.Shadow:
			return 1
		case !allowed:
			return cmp.Compare(waits[j], waits[i])
		case a.left(at) == 0 && b.left(at) == 0:
			return cmp.Compare(b.after(at, 1), a.after(at, 1))
		}
		return cmp.Compare(a.left(at), b.left(at))
	})
}

// oracleLimit is a limit and what it counts.
type oracleLimit struct {
	ratelimit.Limit
	counter
	most  int64 // units that fit at once
	parts int64 // that a unit is divided into, so that all that is counted is whole
}

// counter is what an algorithm means.
type counter interface {
	advance(at int64)          // brings it to an instant
	counted(at int64) *big.Int // parts that are counted at an instant, if nobody calls until then
	take(units int64)          // at the instant to which it was brought
	give(units int64)
}

// forever is longer than any limit counts.
const forever = int64(1) << 52

// after returns how long it takes until so many units fit, if nobody calls: forever if they never do. What
// is counted never grows by itself, so the search may halve the time again and again.
func (l oracleLimit) after(at, units int64) int64 {
	need := product(units, l.parts)
	fits := func(wait int64) bool { return l.free(at+wait).Cmp(need) >= 0 }
	if fits(0) {
		return 0
	}
	first, last := int64(1), forever
	for first < last {
		if middle := (first + last) / 2; fits(middle) {
			last = middle
		} else {
			first = middle + 1
		}
	}
	return first
}

// left returns how many whole units fit.
func (l oracleLimit) left(at int64) int64 {
	free := l.free(at)
	if free.Sign() < 0 {
		return 0
	}
	return free.Div(free, big.NewInt(l.parts)).Int64()
}

// free returns how many parts are not counted: less than none if more is counted than fits.
func (l oracleLimit) free(at int64) *big.Int {
	all := product(l.most, l.parts)
	return all.Sub(all, l.counted(at))
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
