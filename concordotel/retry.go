package concordotel

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/retry"
)

const (
	eventFail    = "concord.retry.fail"
	eventHedge   = "concord.retry.hedge"
	eventRecover = "concord.retry.recover"
	eventGiveUp  = "concord.retry.give_up"
)

// callEnds are the values of callEndKey. No reason is that of a success.
var callEnds = map[retry.Reason]string{
	"":                      "succeeded",
	retry.AttemptsExhausted: "attempts_exhausted",
	retry.BudgetExhausted:   "budget_exhausted",
	retry.DeadlineTooNear:   "deadline_too_near",
	retry.TimeExhausted:     "time_exhausted",
	retry.Canceled:          "canceled",
	retry.PermanentFailure:  "permanent_failure",
	retry.InnerExhausted:    "inner_exhausted",
	retry.NestedAttempt:     "nested_attempt",
	retry.NotRepeatable:     "not_repeatable",
}

// Retry returns hooks that make metrics of what Retriers report, and events on the span of the caller:
// one for each attempt, except for a first one that succeeds, and for the end of a call that gave
// up. Join it with [retry.LogHooks] to have a log, too.
//
// One set of hooks serves any number of Retriers, and then counts them together; give each hooks of its
// own, with Options.Name, to tell them apart. The names of Retriers are not exported. Attempts have no spans
// of ours: the client that makes them has, as children of the caller's.
//
// With these hooks every call is timed, also one that goes well at once. For such a call they allocate
// nothing, for an attempt that fails and is followed by another about 350 bytes, and 500 if its span is
// recorded.
//
// The error is a [*fence.InvalidError] about the options, or that of the MeterProvider.
func Retry(o *Options) (*retry.Hooks, error) {
	m := o.instruments()
	r := &retries{
		labels:   o.labels(),
		took:     m.histogram("concord.retry.call.duration", "How long calls took, with all attempts and the waits between them."),
		attempts: m.attempts("concord.retry.call.attempts", "How many attempts calls had, hedges included."),
		failures: m.counter("concord.retry.failures", "{attempt}", "Attempts that failed, by what that means for the next one."),
		wait:     m.histogram("concord.retry.wait.duration", "How long attempts after a failure are put off."),
		hedge:    m.histogram("concord.retry.hedge.delay", "How long an attempt had before another began beside it."),
		won:      m.counter("concord.retry.hedge.won", "{attempt}", "Hedges that succeeded before the slow attempt."),
		ends:     map[retry.Reason][]metric.RecordOption{},
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	for reason, end := range callEnds {
		r.ends[reason] = r.record(callEndKey.String(end))
	}
	return &retry.Hooks{
		Failed:    r.failed,
		Scheduled: r.scheduled,
		Hedged:    r.hedged,
		Recovered: r.recovered,
		GaveUp:    r.gaveUp,
		Ended:     r.ended,
	}, nil
}

// retries holds the instruments of package retry.
type retries struct {
	labels
	took     metric.Float64Histogram
	attempts metric.Int64Histogram
	failures metric.Int64Counter
	wait     metric.Float64Histogram
	hedge    metric.Float64Histogram
	won      metric.Int64Counter
	ends     map[retry.Reason][]metric.RecordOption
}

func (r *retries) failed(ctx context.Context, i retry.Info) {
	r.failures.Add(ctx, 1, r.with(class(i)))
	r.note(ctx, eventFail, attemptKey.Int(i.Attempt), class(i))
}

func (r *retries) scheduled(ctx context.Context, i retry.Info) {
	r.wait.Record(ctx, i.Delay.Seconds(), r.with(class(i)))
}

func (r *retries) hedged(ctx context.Context, i retry.Info) {
	r.hedge.Record(ctx, i.Delay.Seconds(), r.with())
	r.note(ctx, eventHedge, attemptKey.Int(i.Attempt))
}

func (r *retries) recovered(ctx context.Context, i retry.Info) {
	if i.Hedge {
		r.won.Add(ctx, 1, r.with())
	}
	r.note(ctx, eventRecover, attemptKey.Int(i.Attempt), hedgedKey.Bool(i.Hedge))
}

func (r *retries) gaveUp(ctx context.Context, i retry.Info) {
	r.note(ctx, eventGiveUp, attemptKey.Int(i.Attempt), callEndKey.String(callEnds[i.Reason]))
}

func (r *retries) ended(ctx context.Context, i retry.Info) {
	end := r.ends[i.Reason]
	r.took.Record(ctx, i.Took.Seconds(), end...)
	r.attempts.Record(ctx, int64(i.Attempt), end...)
}

func class(i retry.Info) attribute.KeyValue { return classKey.String(i.Class.String()) }

// RetryBudget measures what is left in a budget each time that metrics are collected: that of a Retrier
// ([retry.Retrier.Budget]) or one that several share. Give each budget an Options.Name of its own, since
// of two without one only one is seen. The budget is kept in memory until Unregister is called.
//
// All problems are reported at once, each as a [*fence.InvalidError] or as the error of the
// MeterProvider.
func RetryBudget(b *retry.Budget, o *Options) (metric.Registration, error) {
	m := o.instruments()
	if b == nil {
		m.errs = append(m.errs, &fence.InvalidError{Field: "budget", Problem: "must not be nil"})
	}
	level := m.observed("concord.retry.budget.level", "{attempt}", "Further attempts that the budget would pay for now.")
	if err := m.err(); err != nil {
		return nil, err
	}
	all := o.labels().with()
	registration, err := m.meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		to.ObserveFloat64(level, b.Level(), all)
		return nil
	}, level)
	if err != nil {
		return nil, fmt.Errorf("concordotel: %w", err)
	}
	return registration, nil
}
