package backendtest

import (
	"fmt"
	"time"

	"github.com/concord-go/concord/ratelimit"
)

// timed takes n units, and says from when to when that took.
func (r *rates) timed(p *ratelimit.Policy, key string, n int64) (d ratelimit.Decision, from, to time.Time) {
	r.Helper()
	from = time.Now()
	d = r.apply(take(p, key, n))[0]
	return d, from, time.Now()
}

// drift is by how much the engine's clock may get away from ours within a case.
const drift = time.Millisecond

// rateBound asks all the time under limits that refill fast. The speed of the machine does not matter.
func rateBound(r *rates) {
	const n, per, lasts = 20, 100 * time.Millisecond, 350 * time.Millisecond
	for _, a := range every {
		l := ratelimit.Limit{Name: "l", N: n, Per: per, Algorithm: a}
		if a == ratelimit.TokenBucket {
			l.Burst = 5
		}
		p := r.policy(l)
		var log Passed
		cost := int64(1)
		for start := time.Now(); time.Since(start) < lasts; {
			if d, from, to := r.timed(p, a.String(), cost); d.Allowed {
				log.Add(from, to.Add(drift), cost)
				cost = 1 + cost%3
			}
		}
		if err := log.Check(l, 0); err != nil {
			r.broken("within no time more is let through than the limit promises", err, nil)
		}
	}
}

// rateServed empties a bucket that a slow machine cannot fill again, and asks all the time.
func rateServed(r *rates) {
	l := ratelimit.Limit{Name: "l", N: 100, Per: time.Second, Burst: 6000}
	p := r.policy(l)
	d, _, start := r.timed(p, "k", l.Burst)
	if !d.Allowed {
		r.broken("a full bucket lets its burst through", d, "allowed")
	}
	sum, last := int64(0), start
	for give := r.patience(); last.Sub(start) < 500*time.Millisecond || d.Allowed; {
		var to time.Time
		if d, last, to = r.timed(p, "k", 1); d.Allowed {
			sum++
		}
		if to.After(give) {
			r.broken("a bucket that was emptied refuses now and then", sum, "a refusal")
		}
	}
	if least := AtLeast(l, last.Sub(start)-drift); sum < least {
		r.broken("a caller that always asks gets the rate", sum, least)
	}
}

func (r *rates) patience() time.Time { return time.Now().Add(patience) }

func rateRetry(r *rates) {
	for _, a := range every {
		const n, per = 4, 200 * time.Millisecond
		p, key := r.policy(ratelimit.Limit{Name: "l", N: n, Per: per, Algorithm: a}), a.String()
		for range 3 {
			d, asked, _ := r.timed(p, key, n)
			for d.Allowed { // until full
				d, asked, _ = r.timed(p, key, n)
			}
			if d.RetryAfter <= 0 || d.RetryAfter > 3*per {
				r.broken("a refusal says when to come back", d, "above 0")
			}
			soon, _, answered := r.timed(p, key, n)
			if most := answered.Sub(asked); a == ratelimit.TokenBucket && soon.Allowed && most < d.RetryAfter-2*time.Millisecond {
				r.broken("nobody is let through before RetryAfter", most, d.RetryAfter)
			}
			if soon.Allowed {
				continue // it took so long to ask
			}
			time.Sleep(soon.RetryAfter + 5*time.Millisecond)
			if e := r.apply(take(p, key, n))[0]; !e.Allowed {
				r.broken(fmt.Sprintf("who waits for RetryAfter is let through (%v)", a), e, soon)
			}
		}
	}
}
