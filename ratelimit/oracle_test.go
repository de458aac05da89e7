package ratelimit_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/concord-go/concord/backend/backendtest"
	"github.com/concord-go/concord/ratelimit"
)

const begin = int64(1_790_000_000_000_000) // µs, in 2026

// pow returns a number of up to that many bits: small ones as often as large ones.
func pow(r *rand.Rand, bits int) int64 { return 1 << r.IntN(bits+1) }

// anyPolicy returns a policy of one to three limits of any size, or none if the numbers do not go
// together, and the largest cost that calls may have.
func anyPolicy(r *rand.Rand) (*ratelimit.Policy, int64) {
	limits := make([]ratelimit.Limit, 1+r.IntN(3)*r.IntN(2))
	most := int64(ratelimit.MaxUnits)
	for i := range limits {
		l := &limits[i]
		*l = ratelimit.Limit{
			Name: fmt.Sprint("l", i), N: 1 + r.Int64N(pow(r, 40)), Per: time.Duration(1+r.Int64N(pow(r, 44))) * time.Microsecond,
			Algorithm: ratelimit.Algorithm(max(0, r.IntN(6)-2)), Shadow: r.IntN(5) == 0,
		}
		fits := l.N
		if l.Algorithm == ratelimit.TokenBucket {
			l.Burst = 1 + r.Int64N(pow(r, 40))
			fits = l.Burst
		}
		if !l.Shadow {
			most = min(most, fits)
		}
	}
	p, err := ratelimit.NewPolicy(limits...)
	if err != nil {
		return nil, 0
	}
	return p, most
}

// decider decides on a state, as Policy.Decide does.
type decider func(p *ratelimit.Policy, state []int64, now int64, op ratelimit.Op) ratelimit.Decision

func decide(p *ratelimit.Policy, state []int64, now int64, op ratelimit.Op) ratelimit.Decision {
	return p.Decide(state, now, &op)
}

// history compares a random list of ops on a key with the oracle, and returns the first difference. In
// every second one the state is kept only if something was counted, as engines may; in the others the
// clock is set back now and then.
func history(seed uint64, decide decider) error {
	r := rand.New(rand.NewPCG(seed, 7))
	p, most := anyPolicy(r)
	if p == nil {
		return nil
	}
	lazy := r.IntN(2) == 0
	oracle, state, now := backendtest.NewLimitOracle(p), make([]int64, p.Words()), begin
	for step := range 40 {
		l := p.Limits()[r.IntN(len(p.Limits()))]
		scale := l.Per.Microseconds()
		if l.Algorithm == ratelimit.TokenBucket && r.IntN(2) == 0 {
			scale = int64(float64(scale) * float64(l.Burst) / float64(l.N)) // until it is full
		}
		gap := r.Int64N(1 + scale/(1+r.Int64N(20)))
		switch {
		case !lazy && r.IntN(10) == 0:
			now -= r.Int64N(1 + scale + scale/4)
		case !lazy && r.IntN(100) == 0:
			now -= 15 * gap
		default:
			now += gap * int64(r.IntN(3)) / 2
		}
		op := ratelimit.Op{Kind: ratelimit.OpTake, Policy: p, N: 1 + r.Int64N(most)}
		if r.IntN(2) == 0 {
			op.N = min(most, 1+r.Int64N(3))
		}
		if r.IntN(3) == 0 {
			op.Kind += ratelimit.OpKind(r.IntN(5))
		}
		if r.IntN(3) == 0 {
			op.MaxWait = time.Duration(r.Int64N(ratelimit.MaxWait.Microseconds()+1)) * time.Microsecond
		}
		before := slices.Clone(state)
		want, got := oracle.Decide(now, op), decide(p, state, now, op)
		if got != want {
			return fmt.Errorf("seed %d, step %d: %+v under %+v:\ngot  %+v\nwant %+v", seed, step, op, p.Limits(), got, want)
		}
		if lazy && (op.Kind == ratelimit.OpPeek || op.Kind == ratelimit.OpTake && !got.Allowed) {
			copy(state, before)
		}
	}
	return nil
}

// Decide says what the oracle says, in every field, for limits of any size and in any order of ops.
func TestDecideAgreesWithOracle(t *testing.T) {
	for seed := range uint64(1000) {
		if err := history(seed, decide); err != nil {
			t.Fatal(err)
		}
	}
}

// slips are ways to decide that are nearly right.
var slips = map[string]decider{
	"a unit is withheld":           said(func(d *ratelimit.Decision) { d.Remaining = max(0, d.Remaining-1) }),
	"RetryAfter is rounded down":   said(func(d *ratelimit.Decision) { d.RetryAfter = max(0, d.RetryAfter-time.Microsecond) }),
	"NextAfter is a bit late":      said(func(d *ratelimit.Decision) { d.NextAfter += min(d.NextAfter, time.Microsecond) }),
	"ResetAfter is cut to seconds": said(func(d *ratelimit.Decision) { d.ResetAfter = d.ResetAfter.Truncate(time.Second) }),
	"a wait is not told":           said(func(d *ratelimit.Decision) { d.Wait = 0 }),
	"shadows are not told of":      said(func(d *ratelimit.Decision) { d.Shadow = "" }),
	"nobody can wait":              asked(func(op *ratelimit.Op) { op.MaxWait = 0 }),
	"all can wait a bit longer":    asked(func(op *ratelimit.Op) { op.MaxWait += op.MaxWait / 16 }),
	"peek counts":                  instead(ratelimit.OpPeek, ratelimit.OpTake),
	"a charge must fit":            instead(ratelimit.OpCharge, ratelimit.OpTake),
	"reset does nothing":           instead(ratelimit.OpReset, ratelimit.OpPeek),
	"give does nothing":            instead(ratelimit.OpGive, ratelimit.OpPeek),
	"one more is given back": asked(func(op *ratelimit.Op) {
		if op.Kind == ratelimit.OpGive {
			op.N++
		}
	}),
	"refusals count": func(p *ratelimit.Policy, state []int64, now int64, op ratelimit.Op) ratelimit.Decision {
		d := p.Decide(state, now, &op)
		if op.Kind == ratelimit.OpTake && !d.Allowed {
			op.Kind = ratelimit.OpCharge
			p.Decide(state, now, &op)
		}
		return d
	},
	"what one limit refuses another counts": func(p *ratelimit.Policy, state []int64, now int64, op ratelimit.Op) ratelimit.Decision {
		if op.Kind != ratelimit.OpTake {
			return p.Decide(state, now, &op)
		}
		op.Kind = ratelimit.OpPeek
		d := p.Decide(state, now, &op)
		op.Kind = ratelimit.OpTake
		if d.Allowed {
			return p.Decide(state, now, &op)
		}
		limits := p.Limits()
		for i := range limits {
			limits[i].Shadow = true
		}
		loose, err := ratelimit.NewPolicy(limits...)
		if err != nil {
			return d
		}
		loose.Decide(state, now, &op)
		return d
	},
	"the clock runs a microsecond a day fast": func(p *ratelimit.Policy, state []int64, now int64, op ratelimit.Op) ratelimit.Decision {
		return p.Decide(state, now+(now-begin)/86_400_000_000, &op)
	},
	"a burst has one more":  limited(func(l *ratelimit.Limit) { l.Burst += min(l.Burst, 1) }),
	"a window has one more": limited(func(l *ratelimit.Limit) { l.N += min(1, int64(l.Algorithm)) }),
}

// TestOracleNoticesSlips shows that the histories tell what is nearly right from what is right.
func TestOracleNoticesSlips(t *testing.T) {
	for name, slip := range slips {
		noticed := false
		for seed := uint64(0); seed < 1000 && !noticed; seed++ {
			noticed = history(seed, slip) != nil
		}
		if !noticed {
			t.Errorf("%s, and no history shows it", name)
		}
	}
}

// said changes what is said.
func said(f func(*ratelimit.Decision)) decider {
	return func(p *ratelimit.Policy, state []int64, now int64, op ratelimit.Op) ratelimit.Decision {
		d := p.Decide(state, now, &op)
		f(&d)
		return d
	}
}

// asked changes what is asked.
func asked(f func(*ratelimit.Op)) decider {
	return func(p *ratelimit.Policy, state []int64, now int64, op ratelimit.Op) ratelimit.Decision {
		f(&op)
		return p.Decide(state, now, &op)
	}
}

func instead(of, comes ratelimit.OpKind) decider {
	return asked(func(op *ratelimit.Op) {
		if op.Kind == of {
			op.Kind, op.N = comes, max(1, op.N)
		}
	})
}

// limited changes the limits, as far as there are such.
func limited(f func(*ratelimit.Limit)) decider {
	return func(p *ratelimit.Policy, state []int64, now int64, op ratelimit.Op) ratelimit.Decision {
		limits := p.Limits()
		for i := range limits {
			f(&limits[i])
		}
		if changed, err := ratelimit.NewPolicy(limits...); err == nil {
			p = changed
		}
		return p.Decide(state, now, &op)
	}
}
