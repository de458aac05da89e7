package concordotel

import (
	"context"

	"go.opentelemetry.io/otel/metric"

	"github.com/concord-go/concord/ratelimit"
)

// RateLimit returns hooks that make metrics of what Limiters report. Join it with
// [ratelimit.LogHooks] to keep the log.
//
// One set of hooks serves any number of Limiters, and then counts them together; give each hooks of its
// own, with Options.Name, to tell them apart. The names of limits are exported, which the program has
// given to [ratelimit.NewPolicy]: choose few. There are no spans: a decision takes less than a span does.
//
// The error is a [*fence.InvalidError] about the options, or that of the MeterProvider.
func RateLimit(o *Options) (*ratelimit.Hooks, error) {
	m := o.instruments()
	r := &rates{
		labels:    o.labels(),
		decisions: m.counter("concord.ratelimit.decisions", "{decision}", "Decisions on calls, by the limit that refused them."),
		shadowed:  m.counter("concord.ratelimit.shadowed", "{decision}", "Decisions in which a shadow limit would have refused."),
		took:      m.histogram("concord.ratelimit.decision.duration", "How long decisions took."),
		wait:      m.histogram("concord.ratelimit.wait.duration", "How long reserved calls had to wait."),
		failures:  m.counter("concord.ratelimit.failures", "{failure}", "Requests that the engine did not answer."),
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	return &ratelimit.Hooks{Decided: r.decided, Failed: r.failed}, nil
}

// rates holds the instruments of package ratelimit.
type rates struct {
	labels
	decisions metric.Int64Counter
	shadowed  metric.Int64Counter
	took      metric.Float64Histogram
	wait      metric.Float64Histogram
	failures  metric.Int64Counter
}

func (r *rates) decided(i ratelimit.Info) {
	ctx := context.Background()
	d := &i.Decision
	o, by := allowed, nothing
	if !d.Allowed {
		o, by = refused, d.Limit
	}
	source := sourceKey.String(d.Source.String())
	r.decisions.Add(ctx, 1, r.with(o.attribute(), source, limitKey.String(by)))
	r.took.Record(ctx, i.Took.Seconds(), r.with(source))
	if d.Shadow != "" {
		r.shadowed.Add(ctx, 1, r.with(limitKey.String(d.Shadow)))
	}
	if d.Wait > 0 {
		r.wait.Record(ctx, d.Wait.Seconds(), r.with())
	}
}

func (r *rates) failed(i ratelimit.Info) {
	r.failures.Add(context.Background(), 1, r.with(outcomeOf(i.Err, failed).attribute()))
}
