package backendtest

import (
	"fmt"
	"time"

	"github.com/concord-go/concord/ratelimit"
)

// let is a call that was let through at some time between two instants.
type let struct {
	from, to time.Time
	n        int64
}

// timed takes n units and notes when.
func (r *rates) timed(p *ratelimit.Policy, key string, n int64) (ratelimit.Decision, let) {
	r.Helper()
	from := time.Now()
	d := r.apply(take(p, key, n))[0]
	return d, let{from, time.Now(), n}
}

// rateBound asks all the time under limits that refill fast. What was let through within any time is
// compared with the longest time that it can have been: the speed of the machine does not matter.
func rateBound(r *rates) {
	const n, per, lasts = 20, 100 * time.Millisecond, 350 * time.Millisecond
	for _, a := range every {
		l := ratelimit.Limit{Name: "l", N: n, Per: per, Algorithm: a}
		if a == ratelimit.TokenBucket {
			l.Burst = 5
		}
		p := r.policy(l)
		var log []let
		for start := time.Now(); time.Since(start) < lasts; {
			if d, x := r.timed(p, a.String(), int64(1+len(log)%3)); d.Allowed {
				log = append(log, x)
			}
		}
		for i := range log {
			sum := int64(0)
			for _, x := range log[i:] {
				sum += x.n
				if w := x.to.Sub(log[i].from) + time.Millisecond; sum > atMost(l, w) {
					r.broken(fmt.Sprintf("a %v lets no more through in %v than it promises", a, w), sum, atMost(l, w))
				}
			}
		}
	}
}

// atMost is what a limit lets through within any time w.
func atMost(l ratelimit.Limit, w time.Duration) int64 {
	switch l.Algorithm {
	case ratelimit.TokenBucket:
		return l.Burst + l.N*int64(w)/int64(l.Per)
	case ratelimit.StrictWindow:
		return l.N * (1 + int64(w/l.Per))
	}
	return l.N * (2 + int64(w/l.Per))
}

// rateServed empties a bucket that a slow machine cannot fill again, and asks all the time.
func rateServed(r *rates) {
	const n, burst = 100, 6000
	p := r.policy(ratelimit.Limit{Name: "l", N: n, Per: time.Second, Burst: burst})
	d, first := r.timed(p, "k", burst)
	if !d.Allowed {
		r.broken("a full bucket lets its burst through", d, "allowed")
	}
	sum, last := int64(0), first
	for give := r.patience(); last.from.Sub(first.to) < 500*time.Millisecond || d.Allowed; {
		if d, last = r.timed(p, "k", 1); d.Allowed {
			sum++
		}
		if last.to.After(give) {
			r.broken("a bucket that was emptied refuses now and then", sum, "a refusal")
		}
	}
	if least := n*int64(last.from.Sub(first.to))/int64(time.Second) - 2; sum < least {
		r.broken("a caller that always asks gets the rate", sum, least)
	}
}

func (r *rates) patience() time.Time { return time.Now().Add(patience) }

func rateRetry(r *rates) {
	for _, a := range every {
		const n, per = 4, 200 * time.Millisecond
		p, key := r.policy(ratelimit.Limit{Name: "l", N: n, Per: per, Algorithm: a}), a.String()
		for range 3 {
			d, x := r.timed(p, key, n)
			for d.Allowed { // until full
				d, x = r.timed(p, key, n)
			}
			if d.RetryAfter <= 0 || d.RetryAfter > 3*per {
				r.broken("a refusal says when to come back", d, "above 0")
			}
			soon, y := r.timed(p, key, n)
			if most := y.to.Sub(x.from); a == ratelimit.TokenBucket && soon.Allowed && most < d.RetryAfter-2*time.Millisecond {
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
