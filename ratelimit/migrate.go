package ratelimit

import (
	"fmt"
	"math/bits"
)

// Migration says what becomes of what was counted under an earlier policy.
type Migration uint8

// The migrations.
const (
	// AsIs keeps what was counted: the time until a bucket is full again, and the units in windows.
	// Windows of another length begin anew, here and with Proportional.
	AsIs Migration = iota
	// Proportional keeps the part of the burst, or of N, that is used.
	Proportional
	// Fresh forgets it.
	Fresh
)

// MaxVersion is the largest version of a change.
const MaxVersion = 1<<31 - 1

// after returns the policy as it comes into force after another one.
func (p *Policy) after(from *Policy, how Migration, version int64) (*Policy, error) {
	if how > Fresh {
		return nil, &InvalidError{Field: "how", Problem: "must be one of the constants"}
	}
	if version <= from.version || version > MaxVersion {
		return nil, &InvalidError{Field: "version", Problem: fmt.Sprintf("must be %d to %d", from.version+1, MaxVersion)}
	}
	next := *p
	next.version, next.how, next.from = version, how, from
	return &next, nil
}

// Migrate brings a state of an earlier version to this one, at an instant. [Policy.Decide] does it by
// itself; it is for engines that decide where there is no Policy.
func (p *Policy) Migrate(state []int64, now int64) {
	if state[0] < p.version {
		p.migrate(state, now)
	}
}

// migrate brings a state of an earlier version to this one.
func (p *Policy) migrate(state []int64, now int64) {
	state[0] = p.version
	switch {
	case p.how == Fresh, p.how == Proportional && p.from.shape != p.shape:
		clear(state[1:])
	case p.how == Proportional:
		for i := range p.rules {
			old, r := &p.from.rules[i], &p.rules[i]
			w := state[r.At : r.At+r.words()]
			old.roll(w, now)
			r.scale(w, now, old)
		}
	}
}

// scale turns what was counted by old into the same part of this rule.
func (r *Rule) scale(w []int64, now int64, old *Rule) {
	switch r.Algorithm {
	case TokenBucket:
		used := old.sub(Span{w[0], w[1]}, Span{now, 0})
		w[0], w[1] = now+part(used.up(), r.Burst.up(), old.Burst.up()), 0
	default: // windows of another length begin anew
		if r.Per != old.Per || r.Unit != old.Unit {
			clear(w)
			return
		}
		for i := 1; i < len(w); i++ {
			w[i] = part(w[i], r.N, old.N)
		}
	}
}

// part returns n*to/from, rounded up and at most to.
func part(n, to, from int64) int64 {
	if from == 0 || n >= from {
		return to
	}
	hi, lo := bits.Mul64(uint64(n), uint64(to))
	lo, carry := bits.Add64(lo, uint64(from-1), 0)
	q, _ := bits.Div64(hi+carry, lo, uint64(from))
	return int64(q)
}
