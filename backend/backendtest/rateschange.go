package backendtest

import (
	"context"
	"fmt"

	"github.com/concord-go/concord/ratelimit"
)

// changed returns a policy as it comes into force after another one.
func (r *rates) changed(from, to *ratelimit.Policy, how ratelimit.Migration, version int64) *ratelimit.Policy {
	r.Helper()
	l, err := ratelimit.New(r.be, from, nil)
	if err == nil {
		err = l.SetPolicy(to, how, version)
	}
	if err != nil {
		r.Fatal(err)
	}
	defer func() {
		if err := l.Close(context.Background()); err != nil {
			r.Error(err)
		}
	}()
	return l.Policy()
}

func rateMigrate(r *rates) {
	for i, c := range []struct {
		algorithm ratelimit.Algorithm
		n         int64
		how       ratelimit.Migration
		left      int64 // after 6 of 10 were used
	}{
		{ratelimit.TokenBucket, 20, ratelimit.AsIs, 8}, // the same time until it is full
		{ratelimit.TokenBucket, 20, ratelimit.Proportional, 8},
		{ratelimit.TokenBucket, 20, ratelimit.Fresh, 20},
		{ratelimit.FixedWindow, 20, ratelimit.AsIs, 14},
		{ratelimit.FixedWindow, 20, ratelimit.Proportional, 8},
		{ratelimit.FixedWindow, 5, ratelimit.AsIs, 0},
		{ratelimit.FixedWindow, 20, ratelimit.Fresh, 20},
		{ratelimit.SlidingWindow, 5, ratelimit.Proportional, 2},
		{ratelimit.StrictWindow, 20, ratelimit.AsIs, 14},
		{ratelimit.StrictWindow, 20, ratelimit.Proportional, 8},
	} {
		from, key := r.limit(c.algorithm, 10), fmt.Sprint("k", i)
		to := r.changed(from, r.limit(c.algorithm, c.n), c.how, 3)
		r.allows("what fits is let through", from, key, 6, 4)
		r.left(fmt.Sprintf("%v of 10 to %d, migration %d", c.algorithm, c.n, c.how), to, key, c.left)
		r.left("a key without history has all of the limit after a change", to, key+"new", c.n)
		if c.left > 0 {
			r.allows("the new limit counts on", to, key, c.left, 0)
		}
		r.refuses("the new limit counts on", to, key, 1, 0)
	}
}

// rateMigrateOnce has two processes ask in turn, of which one has not changed over.
func rateMigrateOnce(r *rates) {
	for _, a := range every[1:] {
		for _, how := range []ratelimit.Migration{ratelimit.AsIs, ratelimit.Proportional, ratelimit.Fresh} {
			from, key := r.limit(a, 100), fmt.Sprint(a, how)
			to := r.changed(from, r.limit(a, 100), how, 1)
			later := r.changed(to, r.limit(a, 100), how, 2)
			used := int64(10)
			r.allows("what fits is let through", from, key, used, 90)
			if how == ratelimit.Fresh {
				used = 0
			}
			for i, p := range []*ratelimit.Policy{to, from, to, from, from, to} {
				used++
				r.allows(fmt.Sprintf("the change of a key is made once (%v, migration %d, step %d)", a, how, i), p, key, 1, 100-used)
			}
			if how == ratelimit.Fresh {
				used = 0
			}
			r.allows("a later change is made, too", later, key, 1, 100-used-1)
			r.allows("and is not undone", to, key, 1, 100-used-2)
			r.allows("and is not made again", later, key, 1, 100-used-3)
		}
	}
}

func rateShape(r *rates) {
	for _, how := range []ratelimit.Migration{ratelimit.AsIs, ratelimit.Proportional, ratelimit.Fresh} {
		from, key := r.limit(ratelimit.FixedWindow, 10), fmt.Sprint("k", how)
		r.allows("what fits is let through", from, key, 6, 4)
		to := r.changed(from, r.limit(ratelimit.TokenBucket, 10), how, 1)
		r.allows("a policy of another shape begins anew", to, key, 7, 3)
		r.refuses("and counts", to, key, 4, 3)
		r.left("a policy of the former shape goes on with what it has counted", from, key, 4)
	}
}
