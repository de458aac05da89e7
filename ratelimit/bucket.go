package ratelimit

import "time"

// bucket is Decide for the most common question by far: a call, and a policy of one token bucket that
// refuses. It says the same, in a third of the time, into a decision that is zero.
func (p *Policy) bucket(w []int64, now int64, op *Op, d *Decision) {
	r := &p.rules[0]
	r.roll(w, now)
	at := Span{w[0], w[1]}
	after := r.add(at, r.cost(op.N))
	over := r.sub(Span{after.Whole - now, after.Frac}, r.Burst).up()
	d.Allowed, d.Limit, d.Source = over <= int64(op.MaxWait/time.Microsecond), p.limits[0].Name, FromEngine
	if d.Allowed {
		w[0], w[1] = after.Whole, after.Frac
		at = after
		d.Wait = micros(over)
	} else {
		d.RetryAfter = micros(over)
	}
	if d.Remaining = r.left(w, now); d.Allowed && d.Remaining == 0 {
		d.NextAfter = micros(r.retry(w, now, 1))
	}
	d.ResetAfter = micros(r.sub(at, Span{now, 0}).up())
}

// cost is Cost, and knows the cost of one unit.
func (r *Rule) cost(n int64) Span {
	if n == 1 {
		return r.one
	}
	return r.Cost(n)
}
