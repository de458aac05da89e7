// Package ratelimit decides how often something may be done: per client, per tenant, per anything that
// has a key. All processes that share an engine share the limits.
//
//	policy, err := ratelimit.NewPolicy(
//		ratelimit.Limit{Name: "burst", N: 10, Per: time.Second, Burst: 20},
//		ratelimit.Limit{Name: "day", N: 1000, Per: 24 * time.Hour})
//	…
//	limits, err := ratelimit.New(be.Limits(), policy, nil)
//	…
//	d, err := limits.Allow(ctx, "client-7")
//	if err == nil && !d.Allowed {
//		… // refuse, and say d.RetryAfter
//	}
//
// # Limits and policies
//
// A [Limit] lets N units through for each Per, counted by one of four algorithms, see [Algorithm]. A
// [Policy] has several: a call must meet all of them, and is counted by all or by none, in one request
// to the engine. Rates are kept as exact fractions and times in whole microseconds, so nothing drifts,
// and every engine decides alike.
//
// The default is a token bucket. After a rest it lets Burst units through at once and N more in the
// time after that: twice the N in the first Per. Where N in any Per is a promise, use
// [StrictWindow].
//
// # Asking
//
// [Limiter.Allow] answers at once. [Limiter.Wait] waits for its turn, first come, first served, or says
// at once that it cannot come in time. [Limiter.Reserve] takes now for later, and for costs that are
// known only afterwards: Settle says what it really was. A [Decision] is a value; a refusal is an answer
// and not an error.
//
// # While the engine does not answer
//
// A decision is made within Options.Timeout, whatever the engine does. After that each limit is [Open],
// [Closed], or worth this process's [Share]; Decision.Source says that it was so, and Hooks tell why.
//
// # What it does not promise
//
// A call without an answer may have been counted or not. An engine that loses data forgets what was
// counted; docs/guarantees.md says when. A limit on calls is none on how many run at the same time: that
// is a semaphore of package lock. A token bucket does not protect from bursts that it allows.
//
// # When it is the wrong tool
//
// One process alone, one limit, and no need to share it: golang.org/x/time/rate is enough, and
// [FromRate] lets the code change later.
package ratelimit
