package ratelimit

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"time"
)

const (
	// MaxLimits is how many limits a policy has at most.
	MaxLimits = 8

	// MaxUnits is the largest N, Burst and cost of a call.
	MaxUnits = 1 << 40

	// MaxWait is the longest time that a call can be reserved ahead.
	MaxWait = time.Hour

	maxName = 64
	maxPer  = 366 * 24 * time.Hour
	maxTau  = 3653 * 24 * int64(time.Hour/time.Microsecond) // 10 years in µs

	// exact is up to where a script computes without an error: all its numbers are doubles.
	exact = 1 << 53

	strictParts = 10 // of a strict window, and one more for the part that has begun
)

// Policy is a list of limits that a call must all meet. It is immutable and may be shared. Policies
// come from [NewPolicy]; the zero Policy is not usable.
type Policy struct {
	limits []Limit
	rules  []Rule
	words  int
	shape  string
	most   int64 // the largest cost that a call can have
	simple bool  // it is one token bucket that refuses

	version int64     // of the change by which it came into force, see SetPolicy
	how     Migration // of states of earlier versions
	from    *Policy   // that they are of, if known
}

// NewPolicy returns the policy of these limits: 1 to [MaxLimits], with different names. All problems
// are reported at once, each as an [*InvalidError].
func NewPolicy(limits ...Limit) (*Policy, error) {
	var errs []error
	check := func(ok bool, field, format string, args ...any) bool {
		if !ok {
			errs = append(errs, &InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)})
		}
		return ok
	}
	check(len(limits) >= 1 && len(limits) <= MaxLimits, "limits", "must be 1 to %d", MaxLimits)
	p := &Policy{limits: append([]Limit(nil), limits...), words: 1, most: MaxUnits}
	names := map[string]bool{}
	for i := range p.limits {
		l := &p.limits[i]
		of := func(field string) string { return fmt.Sprintf("limit %d (%q): %s", i+1, l.Name, field) }
		check(validName(l.Name), of("Name"), "must have 1 to %d letters, digits, -, _ and .", maxName)
		check(!names[l.Name], of("Name"), "must not be there twice")
		names[l.Name] = true
		if l.Burst == 0 && l.Algorithm == TokenBucket {
			l.Burst = l.N
		}
		ok := check(l.N >= 1 && l.N <= MaxUnits, of("N"), "must be 1 to %d", int64(MaxUnits))
		ok = check(l.Per >= time.Microsecond && l.Per <= maxPer && l.Per%time.Microsecond == 0, of("Per"),
			"must be 1µs to %v, in whole microseconds", maxPer) && ok
		ok = check(l.Algorithm <= StrictWindow, of("Algorithm"), "must be one of the constants") && ok
		check(l.Down <= Share, of("Down"), "must be one of the constants")
		if l.Algorithm == TokenBucket {
			ok = check(l.Burst >= 1 && l.Burst <= MaxUnits, of("Burst"), "must be 0 to %d", int64(MaxUnits)) && ok
		} else {
			ok = check(l.Burst == 0, of("Burst"), "must be 0 for a %v", l.Algorithm) && ok
		}
		if !ok {
			continue
		}
		if !l.Shadow {
			p.most = min(p.most, cmp.Or(l.Burst, l.N))
		}
		r, problem := l.rule()
		if check(problem == "", of("N"), "%s", problem) {
			r.At = p.words
			p.words += r.words()
			p.shape += string(rune('a' + l.Algorithm))
			p.rules = append(p.rules, r)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("ratelimit: new policy: %w", err)
	}
	p.simple = p.shape == "a" && !p.limits[0].Shadow
	return p, nil
}

func validName(name string) bool {
	const set = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
	return name != "" && len(name) <= maxName && strings.Trim(name, set) == ""
}

// Words returns how many words the state of a key has: the version of the policy, and those of its
// rules.
func (p *Policy) Words() int { return p.words }

// Rules returns the compiled limits. They must not be changed.
func (p *Policy) Rules() []Rule { return p.rules }

// Shape tells apart policies whose states have different words.
func (p *Policy) Shape() string { return p.shape }

// Version returns the number of the change by which the policy came into force, see [Limiter.SetPolicy].
func (p *Policy) Version() int64 { return p.version }

// Limits returns a copy of the limits, filled in.
func (p *Policy) Limits() []Limit { return append([]Limit(nil), p.limits...) }

// validate refuses a cost that can never be allowed.
func (p *Policy) validate(n int64) error {
	if n < 1 || n > p.most {
		return &InvalidError{Field: "n", Problem: fmt.Sprintf("must be 1 to %d, the smallest burst of the policy", p.most)}
	}
	return nil
}

// rule compiles a limit whose fields are in bounds, or says what is wrong with them together.
func (l *Limit) rule() (Rule, string) {
	r := Rule{Algorithm: l.Algorithm, N: l.N, Most: cmp.Or(l.Burst, l.N), Per: int64(l.Per / time.Microsecond), Shadow: l.Shadow}
	switch l.Algorithm {
	case TokenBucket:
		g := gcd(r.Per, l.N)
		r.Num, r.Den = r.Per/g, l.N/g
		if hi, lo := bits.Mul64(uint64(l.Burst), uint64(r.Num)); hi > 0 || lo/uint64(r.Den) > uint64(maxTau) {
			return r, fmt.Sprintf("and Burst must not stand for more than 10 years: %d/%d * %v", l.Burst, l.N, l.Per)
		}
		r.Burst, r.one = r.Cost(l.Burst), r.Cost(1)
	case SlidingWindow:
		r.Unit = 1
		for r.N > exact/3/(r.Per/r.Unit) || r.Per%r.Unit != 0 { // the sums that are compared must be exact
			if r.Unit *= 1000; r.Unit > 1_000_000 || r.Per%r.Unit != 0 {
				return r, fmt.Sprintf("is too large for a sliding window of %v", l.Per)
			}
		}
	case StrictWindow:
		r.Unit = (r.Per + strictParts - 1) / strictParts
	}
	return r, ""
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
