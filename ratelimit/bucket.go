package ratelimit

import "time"

// bucket is Decide for the most common question by far: a call, and a policy of one token bucket that
// refuses. It says the same, in a third of the time, into a decision that is zero.
func (p *Policy) bucket(w []int64, now int64, op *Op, d *Decision) {
	r := &p.rules[0]
	over := r.admit(w, now, op)
	d.Allowed, d.Limit, d.Source = over <= int64(op.MaxWait/time.Microsecond), p.limits[0].Name, FromEngine
	if d.Allowed {
		d.Wait = micros(over)
	} else {
		d.RetryAfter = micros(over)
	}
	if d.Remaining = r.left(w, now); d.Allowed && d.Remaining == 0 {
		d.NextAfter = micros(r.retry(w, now, 1))
	}
	d.ResetAfter = micros(r.sub(Span{w[0], w[1]}, Span{now, 0}).up())
}

// admit counts a call if it fits within what it would wait, and returns how long it must wait until it
// does.
func (r *Rule) admit(w []int64, now int64, op *Op) (over int64) {
	r.roll(w, now)
	after := r.add(Span{w[0], w[1]}, r.cost(op.N))
	over = r.sub(Span{after.Whole - now, after.Frac}, r.Burst).up()
	if over <= int64(op.MaxWait/time.Microsecond) {
		w[0], w[1] = after.Whole, after.Frac
	}
	return over
}

// allow is Decide for those who want nothing but the answer to a call.
func (p *Policy) allow(state []int64, now int64, op *Op) bool {
	if p.simple {
		p.Migrate(state, now)
		return p.rules[0].admit(state[1:], now, op) == 0
	}
	var d Decision
	p.decide(state, now, op, &d)
	return d.Allowed
}

// cost is Cost, and knows the cost of one unit.
func (r *Rule) cost(n int64) Span {
	if n == 1 {
		return r.one
	}
	return r.Cost(n)
}
