package concordotel

import (
	"context"

	"go.opentelemetry.io/otel/metric"

	"github.com/concord-go/concord/membership"
)

// Membership returns hooks that make metrics of what Groups report. Join it with
// [membership.LogHooks] to keep the log.
//
// One set of hooks serves any number of Groups, and then counts them together. To see how many
// members one group has, give it hooks of its own, with Options.Name. There are no spans, for the
// reasons that [Election] has.
//
// The error is a [*fence.InvalidError] about the options, or that of the MeterProvider.
func Membership(o *Options) (*membership.Hooks, error) {
	m := o.instruments()
	g := &groups{
		labels:   o.labels(),
		join:     m.histogram("concord.membership.join.duration", "How long members took to join."),
		stay:     m.histogram("concord.membership.stay.duration", "How long members stayed in their group.", longBounds...),
		joined:   m.upDown("concord.membership.joined", "{member}", "Members of this process that are in their group."),
		left:     m.histogram("concord.membership.renewal.left", "Time to the deadline when a renewal was answered or failed."),
		members:  m.gauge("concord.membership.members", "{member}", "Members of the group, of all processes, in the last view."),
		failures: m.counter("concord.membership.failures", "{failure}", "Failures to join again or to read the members, which was tried again."),
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	g.joined.Add(context.Background(), 0, g.with()) // so that "nobody" is a zero and not a gap
	return &membership.Hooks{
		Joined:  g.joins,
		Ended:   g.ended,
		Renewed: g.renewed,
		Viewed:  g.viewed,
		Failed:  g.failed,
	}, nil
}

// groups holds the instruments of package membership.
type groups struct {
	labels
	join     metric.Float64Histogram
	stay     metric.Float64Histogram
	joined   metric.Int64UpDownCounter
	left     metric.Float64Histogram
	members  metric.Int64Gauge
	failures metric.Int64Counter
}

func (g *groups) joins(i membership.Info) {
	ctx := context.Background()
	g.joined.Add(ctx, 1, g.with())
	g.join.Record(ctx, i.Wait.Seconds(), g.with(againKey.Bool(i.Again)))
}

func (g *groups) ended(i membership.Info) {
	ctx := context.Background()
	g.joined.Add(ctx, -1, g.with())
	g.stay.Record(ctx, i.Held.Seconds(), g.with(end(stayEndKey, i.Err)))
}

func (g *groups) renewed(i membership.Info) {
	g.left.Record(context.Background(), max(i.Left, 0).Seconds(), g.with(either(i.Err, renewed, failed).attribute()))
}

func (g *groups) viewed(i membership.Info) {
	g.members.Record(context.Background(), int64(i.Members), g.with())
}

func (g *groups) failed(i membership.Info) {
	g.failures.Add(context.Background(), 1, g.with(outcomeOf(i.Err, failed).attribute()))
}
