package ratelimit

import (
	"fmt"
	"math/bits"
	"time"
)

const (
	// DefaultBlock is how many units are taken ahead at most, unless Allowance.Block says otherwise.
	DefaultBlock = 1024

	// DefaultLife is how long they are kept, unless Allowance.Life says otherwise.
	DefaultLife = time.Second
)

// Allowance lets a process take units of a key ahead and spend them without asking, which makes one hot
// key many times faster. They are counted before they are spent. Keys that are asked for seldom are not
// touched by it: a block is one unit at first, doubles while it is used up quickly, and shrinks to what
// is asked for when the limit is nearly reached.
//
// For N processes with blocks of B units that live for L, a token bucket of burst b and rate r lets at
// most b + r*w + min(N*B, r*L) through in any time w. Decision.Slack is r*L. With Strict it is
// b + r*w again, for a burst that is smaller by r*L.
//
// A refusal is remembered too, for as long as it is certain to hold if nobody gives units back, and at
// most for Life: a refund, a reset or the rest of an allowance of another process is noticed after that.
//
// What is not spent when Life is over, or when the limiter is closed, is given back. A process that dies
// takes it along.
type Allowance struct {
	// Block is how many units are taken ahead at most: 1 to 2^20, default [DefaultBlock].
	Block int64

	// Life is how long they may be kept: 10 ms to 1 min, default [DefaultLife].
	Life time.Duration

	// Strict keeps the limits as they are, at the price of burst. All processes must agree on it and on
	// Life. Limits with fixed and sliding windows cannot be kept so.
	Strict bool

	_ struct{}
}

func (a *Allowance) withDefaults() (Allowance, []error) {
	opt := *a
	if opt.Block == 0 {
		opt.Block = DefaultBlock
	}
	if opt.Life == 0 {
		opt.Life = DefaultLife
	}
	var errs []error
	check := func(ok bool, field, format string, args ...any) {
		if !ok {
			errs = append(errs, &InvalidError{Field: "Allowance." + field, Problem: fmt.Sprintf(format, args...)})
		}
	}
	check(opt.Block >= 1 && opt.Block <= 1<<20, "Block", "must be 1 to %d", 1<<20)
	check(opt.Life >= 10*time.Millisecond && opt.Life <= time.Minute, "Life", "must be 10ms to 1m")
	return opt, errs
}

// slack returns how many units of the limit come in a time, rounded up: r*L.
func (l *Limit) slack(life time.Duration) int64 {
	hi, lo := bits.Mul64(uint64(l.N), uint64(life))
	if hi >= uint64(l.Per) {
		return MaxUnits
	}
	q, rem := bits.Div64(hi, lo, uint64(l.Per))
	if rem > 0 {
		q++
	}
	return int64(min(q, MaxUnits))
}

// slack returns the largest of the limits that refuse.
func (p *Policy) slack(life time.Duration) (most int64) {
	for i := range p.limits {
		if l := &p.limits[i]; !l.Shadow {
			most = max(most, l.slack(life))
		}
	}
	return most
}

// strict returns the policy that keeps the limits of p though units live for a while after they were
// counted.
func (p *Policy) strict(life time.Duration) (*Policy, error) {
	limits := p.Limits()
	for i := range limits {
		l := &limits[i]
		refuse := func(format string, args ...any) error {
			return &InvalidError{Field: "Allowance.Strict", Problem: fmt.Sprintf("cannot be for limit %q: ", l.Name) + fmt.Sprintf(format, args...)}
		}
		switch l.Algorithm {
		case TokenBucket:
			if l.Burst -= l.slack(life); l.Burst < 1 {
				return nil, refuse("its burst must be above %d, what comes in %v", l.slack(life), life)
			}
		case StrictWindow: // what is spent within Per was counted within Per and Life
			l.Per += life.Truncate(time.Microsecond) + time.Microsecond
		default:
			return nil, refuse("it has a %v", l.Algorithm)
		}
	}
	next, err := NewPolicy(limits...)
	if err != nil {
		return nil, err
	}
	next.version, next.how, next.from = p.version, p.how, p.from
	return next, nil
}
