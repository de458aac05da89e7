package concordotel

import (
	"context"

	"go.opentelemetry.io/otel/metric"

	"github.com/concord-go/concord/election"
)

// Election returns hooks that make metrics of what Elections report. Join it with
// [election.LogHooks] to keep the log.
//
// One set of hooks serves any number of Elections, and then counts them together. To see of one
// election that nobody leads, or two, give it hooks of its own, with Options.Name. Which process
// leads is told by what identifies the process in everything that it exports, such as
// service.instance.id.
//
// There are no spans. A term, and the wait for it, may last for weeks: a span would be exported when
// it is over, and with it gone if the process dies. Nor has a change of leader a caller whose trace
// it could be part of. Run a term's work under spans of its own, each a piece of work.
//
// The error is a [*fence.InvalidError] about the options, or that of the MeterProvider.
func Election(o *Options) (*election.Hooks, error) {
	m := o.instruments()
	e := &elections{
		labels:   o.labels(),
		wait:     m.histogram("concord.election.wait.duration", "How long candidates stood until they led.", longBounds...),
		term:     m.histogram("concord.election.term.duration", "How long terms lasted.", longBounds...),
		leading:  m.upDown("concord.election.leading", "{term}", "Terms that this process leads."),
		drain:    m.histogram("concord.election.drain.duration", "How long work went on after the end of its term."),
		left:     m.histogram("concord.election.renewal.left", "Time to the deadline when a renewal was answered or failed."),
		health:   m.counter("concord.election.health.changes", "{change}", "Changes of the health of candidates."),
		failures: m.counter("concord.election.failures", "{failure}", "Failures to stand, which was tried again."),
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	e.leading.Add(context.Background(), 0, e.with()) // so that "nobody" is a zero and not a gap
	return &election.Hooks{
		Elected: e.elected,
		Ended:   e.ended,
		Drained: e.drained,
		Renewed: e.renewed,
		Health:  e.healthChanged,
		Failed:  e.failed,
	}, nil
}

// elections holds the instruments of package election.
type elections struct {
	labels
	wait     metric.Float64Histogram
	term     metric.Float64Histogram
	leading  metric.Int64UpDownCounter
	drain    metric.Float64Histogram
	left     metric.Float64Histogram
	health   metric.Int64Counter
	failures metric.Int64Counter
}

func (e *elections) elected(i election.Info) {
	ctx := context.Background()
	e.leading.Add(ctx, 1, e.with())
	e.wait.Record(ctx, i.Wait.Seconds(), e.with())
}

func (e *elections) ended(i election.Info) {
	ctx := context.Background()
	e.leading.Add(ctx, -1, e.with())
	e.term.Record(ctx, i.Held.Seconds(), e.with(end(electionEndKey, i.Err)))
}

func (e *elections) drained(i election.Info) {
	e.drain.Record(context.Background(), i.Wait.Seconds(), e.with(either(i.Err, drained, late).attribute()))
}

func (e *elections) renewed(i election.Info) {
	e.left.Record(context.Background(), max(i.Left, 0).Seconds(), e.with(either(i.Err, renewed, failed).attribute()))
}

func (e *elections) healthChanged(i election.Info) {
	e.health.Add(context.Background(), 1, e.with(healthyKey.Bool(i.Err == nil)))
}

func (e *elections) failed(i election.Info) {
	e.failures.Add(context.Background(), 1, e.with(outcomeOf(i.Err, failed).attribute()))
}
