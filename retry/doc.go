// Package retry makes further attempts at calls that failed, as few as help and never so many that
// they keep a server down.
//
//	payments, err := retry.New("payments", nil) // once for each service that is called
//	…
//	receipt, err := retry.Do(ctx, payments, func(ctx context.Context, a retry.Attempt) (Receipt, error) {
//		return charge(ctx, a.Key(), order) // the server knows a repetition by its key
//	})
//
// # The budget
//
// A server that is overloaded fails calls, each failure is followed by further attempts, and
// these are more load: it may stay overloaded for ever after a trouble of seconds, and no jitter
// changes that. So every Retrier has a [Budget], on by default: healthy answers pay in a tenth of an
// attempt, further attempts and hedges take from it. In normal times there is always enough; in an
// outage further attempts come to a tenth of the healthy answers and one a second. A refusal
// takes effect on the further attempt alone, which ends the call with [BudgetExhausted].
//
// A budget is for what is called, not for who calls: Retriers for one service share it through
// Options.Budget, those for different services do not. It knows one process. A fleet may send as many
// attempts as its processes have budgets, so BudgetOptions.Capacity is small.
//
// # Which failures
//
// [Classify] says what an error means, after [Mark], [Permanent] or Options.Classify have; an error that
// nobody knows is worth another attempt. So the function may run several times: what
// must happen once needs a key that the server checks (Attempt.Key), or Options.OnlyUnsent.
//
// An error with a method RetryAfter() time.Duration says when to come back. The wait is cut to
// Options.MaxRetryAfter and then jittered by up to a tenth, upwards.
//
// # Time
//
// The number of attempts is bounded, 3 by default. Time is bounded by the context of the caller, and by
// Options.AttemptTimeout and Options.TotalTimeout if they are set; there is no hidden limit. An attempt
// is not begun, and not waited for, if it would come after the deadline or if less time is
// left than half of the recent attempts took that went well. Do then returns at once, with
// [DeadlineTooNear].
//
// # One layer makes attempts
//
// Three layers that make three attempts each would send 27. So two rules, both lifted by options of the
// outer or the inner Retrier:
//
//   - The number of the attempt travels in the context, from the second on ([AttemptFrom]). A call
//     within a second or later attempt of another makes a single one, without a hedge, and fails with
//     [NestedAttempt]. Options.RetryNested of the inner Retrier lifts it.
//   - A failure that an inner Retrier has made its attempts at is not worth another to the outer one
//     ([InnerExhausted]). Options.Classify of the outer Retrier lifts it.
//
// A failure is so followed by attempts of the innermost layer that sees it. Across processes the
// number has to be sent along, and given to [WithAttempt] on the other side. The key of an inner call
// is its own; who wants that of the outer one takes it over with [WithKey].
//
// # What it does not do
//
//   - It cannot stop a function that ignores its context. Do waits for it, Hedge leaves it behind.
//   - It does not know whether an attempt that failed had an effect.
//   - It keeps no call from being made: a server that is down still gets every first attempt. That is what
//     package breaker is for. Normally the attempts go around it: a rejection then says when another one
//     is worth it, and costs as much budget as one that was throttled.
//   - It does not slow down who calls in a loop. [ExhaustedError.RetryAfter] says how long to wait.
//   - Budgets of processes do not know each other.
//
// Delays are measured by the monotonic clock, which on some systems stands still while the machine sleeps.
package retry
