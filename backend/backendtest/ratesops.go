package backendtest

import (
	"context"
	"errors"
	"time"

	"github.com/concord-go/concord/ratelimit"
)

func rateFirst(r *rates) {
	for _, a := range every {
		p := r.limit(a, 10)
		d := r.allows("a key without history has all of the limit", p, a.String(), 1, 9)
		if d.Limit != "l" || d.Shadow != "" || d.Wait != 0 || d.ResetAfter <= 0 || d.Source != ratelimit.FromEngine {
			r.broken("an answer is filled in", d, "Limit l, no wait, time to reset, from the engine")
		}
		p = r.limit(a, 1)
		r.allows("a limit of one lets one through", p, a.String()+"1", 1, 0)
		r.refuses("and not two", p, a.String()+"1", 1, 0)
	}
}

func rateFull(r *rates) {
	for _, a := range every {
		p, key := r.limit(a, 5), a.String()
		r.allows("what fits is let through", p, key, 3, 2)
		for range 3 {
			r.refuses("what does not fit is refused, and counts nothing", p, key, 3, 2)
		}
		r.allows("a smaller call fits behind a refused one", p, key, 2, 0)
		if d := r.refuses("a full limit refuses", p, key, 1, 0); d.Limit != "l" || d.Wait != 0 {
			r.broken("a refusal names the limit", d, "l")
		}
	}
}

func rateAllOrNone(r *rates) {
	for _, a := range every {
		for _, b := range every {
			p := r.policy(
				ratelimit.Limit{Name: "many", N: 10, Per: slowly, Algorithm: a},
				ratelimit.Limit{Name: "few", N: 4, Per: slowly, Algorithm: b},
			)
			key := a.String() + b.String()
			if d := r.allows("the limit with the least left is told of", p, key, 3, 1); d.Limit != "few" {
				r.broken("the limit with the least left is told of", d, "few")
			}
			if d := r.refuses("one limit refuses for all", p, key, 2, 1); d.Limit != "few" {
				r.broken("the limit that refuses is named", d, "few")
			}
			r.allows("what one limit refused no other has counted", p, key, 1, 0)
			r.apply(of(ratelimit.OpReset, p, key, 0))
			for i := range int64(4) {
				r.allows("all limits count together", p, key, 1, 3-i)
			}
		}
	}
}

func rateShadow(r *rates) {
	for _, a := range every {
		p, key := r.policy(
			ratelimit.Limit{Name: "real", N: 10, Per: slowly},
			ratelimit.Limit{Name: "shadow", N: 2, Per: slowly, Algorithm: a, Shadow: true},
		), a.String()
		for i := range int64(6) {
			d := r.allows("a shadow limit refuses nothing", p, key, 1, 9-i)
			if want := map[bool]string{true: "shadow"}[i >= 2]; d.Limit != "real" || d.Shadow != want {
				r.broken("a shadow limit that would refuse is told of", d, "Limit real, Shadow "+want)
			}
		}
		r.refuses("the others still refuse", p, key, 5, 4)
	}
}

func ratePeek(r *rates) {
	for _, a := range every {
		p, key := r.limit(a, 5), a.String()
		for range 3 {
			r.left("peek counts nothing on a key without history", p, key, 5)
		}
		r.allows("peek counts nothing", p, key, 5, 0)
		r.left("peek tells of a full limit", p, key, 0)
		r.apply(of(ratelimit.OpGive, p, key, 2))
		r.left("peek tells what is left", p, key, 2)
		if d := r.apply(of(ratelimit.OpPeek, p, key, 3))[0]; d.Allowed || d.RetryAfter <= 0 {
			r.broken("peek asks as a take does", d, "a refusal")
		}
	}
}

func rateGive(r *rates) {
	for _, a := range every {
		p, key := r.limit(a, 5), a.String()
		r.apply(of(ratelimit.OpGive, p, key, 3))
		r.left("nothing to take back makes no more than all", p, key, 5)
		r.allows("what fits is let through", p, key, 4, 1)
		r.apply(of(ratelimit.OpGive, p, key, 3))
		r.left("give takes back", p, key, 4)
		r.apply(of(ratelimit.OpGive, p, key, 3))
		r.left("give takes back as far as there is", p, key, 5)
		r.allows("and no further", p, key, 5, 0)
		r.refuses("and no further", p, key, 1, 0)
	}
}

func rateCharge(r *rates) {
	for _, a := range every {
		p, key := r.limit(a, 5), a.String()
		r.apply(of(ratelimit.OpCharge, p, key, 2))
		r.left("charge counts", p, key, 3)
		r.apply(of(ratelimit.OpCharge, p, key, 5))
		r.left("charge counts what does not fit", p, key, 0)
		r.apply(of(ratelimit.OpGive, p, key, 1))
		if a == ratelimit.TokenBucket { // seven were charged
			r.left("a bucket carries a debt", p, key, 0)
			r.apply(of(ratelimit.OpGive, p, key, 4))
			r.left("a debt is paid back", p, key, 3)
		} else {
			r.left("a window keeps no more than its N", p, key, 1)
		}
	}
}

func rateReset(r *rates) {
	for _, a := range every {
		p, key := r.limit(a, 5), a.String()
		r.apply(of(ratelimit.OpReset, p, key, 0))
		r.allows("what fits is let through", p, key, 5, 0)
		r.allows("another key has its own", p, key+"other", 5, 0)
		r.apply(of(ratelimit.OpReset, p, key, 0))
		r.left("reset forgets", p, key, 5)
		r.left("reset forgets this key only", p, key+"other", 0)
		r.allows("reset forgets", p, key, 5, 0)
	}
}

func rateReserve(r *rates) {
	const unit = time.Minute
	p := r.policy(ratelimit.Limit{Name: "l", N: 1, Per: unit, Burst: 2})
	ask := func(wait time.Duration) ratelimit.Decision {
		op := take(p, "k", 1)
		op.MaxWait = wait
		return r.apply(op)[0]
	}
	last := time.Duration(0)
	for i := range 6 {
		d := ask(time.Hour)
		want := max(0, time.Duration(i-1)*unit)
		if !d.Allowed || d.Wait > want || d.Wait < want-unit/2 || i > 2 && d.Wait <= last {
			r.broken("who reserves later waits longer", d, want)
		}
		last = d.Wait
	}
	d := ask(last)
	if d.Allowed || d.RetryAfter <= last {
		r.broken("a wait that is too long is refused", d, last+unit)
	}
	if e := ask(d.RetryAfter); !e.Allowed || e.Wait > d.RetryAfter {
		r.broken("a refused reservation counts nothing", e, "allowed")
	}
	r.apply(of(ratelimit.OpGive, p, "k", 1))
	if e := ask(time.Hour); !e.Allowed || e.Wait > d.RetryAfter {
		r.broken("a reservation that was given back is free", e, d.RetryAfter)
	}
}

func rateReserveWindow(r *rates) {
	for _, a := range every[1:] {
		p := r.policy(ratelimit.Limit{Name: "l", N: 2, Per: 40 * 24 * time.Hour, Algorithm: a})
		op := take(p, a.String(), 1)
		op.MaxWait = ratelimit.MaxWait
		for i := range 4 {
			if d := r.apply(op)[0]; d.Allowed != (i < 2) || d.Wait != 0 {
				r.broken("a window lets nothing wait", d, i < 2)
			}
		}
	}
}

func rateAnyBytes(r *rates) {
	p := r.limit(ratelimit.TokenBucket, 1000)
	two := r.policy(ratelimit.Limit{Name: "a", N: 1000, Per: slowly}, ratelimit.Limit{Name: "b", N: 999, Per: slowly, Algorithm: ratelimit.FixedWindow})
	names := nasty()
	for i, name := range names {
		r.allows("each key counts by itself", p, name, int64(1+i), int64(999-i))
		if len(name) < ratelimit.MaxKey {
			r.apply(take(two, name+"2", 1))
		}
	}
	for i, name := range names {
		r.left("each key counts by itself", p, name, int64(999-i))
	}
}

func rateContext(r *rates) {
	p := r.limit(ratelimit.TokenBucket, 1000)
	r.allows("what fits is let through", p, "k", 1, 999)
	cancelled, cancel := context.WithCancel(r.Context())
	cancel()
	past, cancel := context.WithDeadline(r.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for _, ctx := range []context.Context{cancelled, past} {
		for _, n := range []int{1, 3} {
			ops, out := make([]ratelimit.Op, n), make([]ratelimit.Outcome, n)
			for i := range ops {
				ops[i] = take(p, "k", 1)
			}
			start := time.Now()
			r.be.Apply(ctx, ops, out)
			for _, o := range out {
				if !errors.Is(o.Err, ctx.Err()) {
					r.broken("a call with an ended ctx returns its error", o, ctx.Err())
				}
			}
			if took := time.Since(start); took > callTime {
				r.broken("a call with an ended ctx returns at once", took, "0s")
			}
		}
	}
	if d := r.apply(of(ratelimit.OpPeek, p, "k", 1))[0]; d.Remaining > 999 || d.Remaining < 999-2*4 {
		r.broken("each op counts once at most", d, "991 to 999 left")
	}
}
