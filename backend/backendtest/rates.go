package backendtest

import (
	"context"
	"testing"
	"time"

	"github.com/concord-go/concord/ratelimit"
)

// Limits checks the promises of [ratelimit.Backend]. newBackend returns one on a fresh and empty
// namespace and registers its own clean-up with t; it is called once for each case.
func Limits(t *testing.T, newBackend func(t *testing.T) ratelimit.Backend) {
	cases := []struct {
		name string
		run  func(*rates)
	}{
		{"a first call is allowed", rateFirst},
		{"a full limit refuses and says what is left", rateFull},
		{"several limits count all or none", rateAllOrNone},
		{"a shadow limit refuses nothing", rateShadow},
		{"peek counts nothing", ratePeek},
		{"give takes back as far as there is", rateGive},
		{"charge counts what does not fit", rateCharge},
		{"reset forgets", rateReset},
		{"reservations wait in order", rateReserve},
		{"windows cannot be reserved", rateReserveWindow},
		{"keys with any bytes are independent", rateAnyBytes},
		{"a batch is answered op by op", rateBatch},
		{"a batch of any size", rateBatchLarge},
		{"concurrent calls are let through to the last unit", rateConcurrent},
		{"concurrent batches count each op once", rateConcurrentBatches},
		{"a change of policy migrates what was counted", rateMigrate},
		{"a change is made once", rateMigrateOnce},
		{"a policy of another shape begins anew", rateShape},
		{"an ended ctx ends the call", rateContext},
		{"nothing is let through beyond the bound", rateBound},
		{"a caller that always asks gets the rate", rateServed},
		{"who waits for RetryAfter is let through, and not earlier", rateRetry},
		{"agrees with the policy", rateRandom},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			be := newBackend(t)
			c.run(&rates{t, be, be.Capabilities()})
		})
	}
}

// slowly is a time in which a case sees nothing refilled, if its limits have 1000 units or less.
const slowly = 366 * 24 * time.Hour

// every algorithm.
var every = []ratelimit.Algorithm{ratelimit.TokenBucket, ratelimit.FixedWindow, ratelimit.SlidingWindow, ratelimit.StrictWindow}

// rates is what a case works with.
type rates struct {
	*testing.T
	be   ratelimit.Backend
	caps ratelimit.Capabilities
}

func (r *rates) broken(promise string, got, want any) {
	r.Helper()
	r.Fatalf("broken promise: %s\n\tgot:  %+v\n\twant: %+v", promise, got, want)
}

func (r *rates) policy(limits ...ratelimit.Limit) *ratelimit.Policy {
	r.Helper()
	p, err := ratelimit.NewPolicy(limits...)
	if err != nil {
		r.Fatal(err)
	}
	return p
}

// limit is one limit that does not refill within the case.
func (r *rates) limit(a ratelimit.Algorithm, n int64) *ratelimit.Policy {
	r.Helper()
	return r.policy(ratelimit.Limit{Name: "l", N: n, Per: slowly, Algorithm: a})
}

// apply asks for ops together. An op that is not answered ends the case.
func (r *rates) apply(ops ...ratelimit.Op) []ratelimit.Decision {
	r.Helper()
	decisions, err := r.ask(ops...)
	if err != nil {
		r.broken("a healthy engine answers", err, "a decision")
	}
	return decisions
}

// ask is apply for goroutines, which must not end the case.
func (r *rates) ask(ops ...ratelimit.Op) ([]ratelimit.Decision, error) {
	ctx, cancel := context.WithTimeout(r.Context(), callTime)
	defer cancel()
	out := make([]ratelimit.Outcome, len(ops))
	r.be.Apply(ctx, ops, out)
	decisions := make([]ratelimit.Decision, len(ops))
	for i, o := range out {
		if o.Err != nil {
			return nil, o.Err
		}
		decisions[i] = o.Decision
	}
	return decisions, nil
}

func take(p *ratelimit.Policy, key string, n int64) ratelimit.Op {
	return ratelimit.Op{Kind: ratelimit.OpTake, Key: key, Policy: p, N: n}
}

// of is an op of another kind.
func of(kind ratelimit.OpKind, p *ratelimit.Policy, key string, n int64) ratelimit.Op {
	return ratelimit.Op{Kind: kind, Key: key, Policy: p, N: n}
}

// allows takes n units, which must fit, and leave so many.
func (r *rates) allows(promise string, p *ratelimit.Policy, key string, n, left int64) ratelimit.Decision {
	r.Helper()
	d := r.apply(take(p, key, n))[0]
	if !d.Allowed || d.Remaining != left || d.RetryAfter != 0 {
		r.broken(promise, d, map[string]any{"Allowed": true, "Remaining": left, "RetryAfter": 0})
	}
	return d
}

// refuses takes n units, which must not fit, and leave what there is.
func (r *rates) refuses(promise string, p *ratelimit.Policy, key string, n, left int64) ratelimit.Decision {
	r.Helper()
	d := r.apply(take(p, key, n))[0]
	if d.Allowed || d.Remaining != left || d.RetryAfter <= 0 {
		r.broken(promise, d, map[string]any{"Allowed": false, "Remaining": left, "RetryAfter": "above 0"})
	}
	return d
}

// left peeks at what there is.
func (r *rates) left(promise string, p *ratelimit.Policy, key string, left int64) {
	r.Helper()
	if d := r.apply(of(ratelimit.OpPeek, p, key, 1))[0]; d.Remaining != left || d.Allowed != (left > 0) {
		r.broken(promise, d, map[string]any{"Allowed": left > 0, "Remaining": left})
	}
}
