package concordotel

import (
	"context"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/concord-go/concord/breaker"
)

const eventReject = "concord.breaker.reject"

// Breaker returns hooks that make metrics of what Breakers and Groups report, and an event on the span of
// a caller who is rejected. Join it with [breaker.LogHooks] to keep the log.
//
// One set of hooks serves any number of Breakers, and then counts them together; give each hooks of its
// own, with Options.Name, to tell them apart. Neither the names of breakers nor the keys of a Group are
// exported, of which there may be a thousand; [BreakerKeys] is for programs that have few. There are no
// spans: a call has that of its client.
//
// The states are counted from what changes. A breaker that is dropped while it is open or forced stays
// counted; a Group drops none, unless a call outlasts GroupOptions.Idle and opens one that is dropped already.
//
// For a call and for a rejection they allocate nothing, unless its span is recorded; for a change of the
// state about 500 bytes.
//
// The error is a [*fence.InvalidError] about the options, or that of the MeterProvider.
func Breaker(o *Options) (*breaker.Hooks, error) {
	m := o.instruments()
	b := m.breakers()
	if err := m.err(); err != nil {
		return nil, err
	}
	b.begin(o.labels())
	return &breaker.Hooks{Changed: b.changed, Rejected: b.rejected, Ended: b.ended, Untracked: b.untracked}, nil
}

// breakers holds the instruments of package breaker, and the attributes of what happens often.
type breakers struct {
	labels
	calls      metric.Int64Counter
	rejections metric.Int64Counter
	shadowed   metric.Int64Counter
	changes    metric.Int64Counter
	notClosed  metric.Int64UpDownCounter
	forced     metric.Int64UpDownCounter
	overflows  metric.Int64Counter

	ends    [3][2][2][]metric.AddOption // by outcome, slow, probe
	rejects map[breaker.Reason]rejection
}

// rejection is how those for one reason are counted and noted.
type rejection struct {
	count []metric.AddOption
	event trace.EventOption
}

func (m *instruments) breakers() *breakers {
	return &breakers{
		calls:      m.counter("concord.breaker.calls", "{call}", "Calls that were let through and have ended."),
		rejections: m.counter("concord.breaker.rejected", "{call}", "Calls that were not let through."),
		shadowed:   m.counter("concord.breaker.shadowed", "{call}", "Calls that were let through by a breaker that observes only, and would have been rejected."),
		changes:    m.counter("concord.breaker.changes", "{change}", "Changes of the state, and of the mode by an operator."),
		notClosed:  m.upDown("concord.breaker.not_closed", "{breaker}", "Breakers that are not closed."),
		forced:     m.upDown("concord.breaker.forced", "{breaker}", "Breakers that an operator has forced open or closed."),
		overflows:  m.counter("concord.breaker.overflows", "{overflow}", "How often a group was full and let calls through without a breaker."),
	}
}

// begin gives all that is measured its labels, before anything is.
func (b *breakers) begin(l labels) {
	b.labels = l
	for outcome := range b.ends {
		for slow := range b.ends[outcome] {
			for probe := range b.ends[outcome][slow] {
				b.ends[outcome][slow][probe] = l.add(
					outcomeKey.String(breaker.Outcome(outcome).String()), slowKey.Bool(slow == 1), probeKey.Bool(probe == 1))
			}
		}
	}
	b.rejects = map[breaker.Reason]rejection{}
	for _, why := range append(slices.Clip(reasons), "", other) {
		b.rejects[why] = rejection{count: l.add(reason(why)), event: l.on(reason(why))}
	}
	ctx := context.Background() // so that "none" is a zero and not a gap
	for _, s := range []breaker.State{breaker.Open, breaker.HalfOpen, breaker.Ramping} {
		b.notClosed.Add(ctx, 0, l.with(state(stateKey, s)))
	}
	for _, m := range []breaker.Mode{breaker.ForcedOpen, breaker.ForcedClosed} {
		b.forced.Add(ctx, 0, l.with(mode(m)))
	}
}

func (b *breakers) ended(ctx context.Context, i breaker.Info) {
	o := i.Outcome
	if o > breaker.Ignored { // of a Classify of the program; the breaker counts it so
		o = breaker.Success
	}
	b.calls.Add(ctx, 1, b.ends[o][index(i.Slow)][index(i.Probe)]...)
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (b *breakers) rejected(ctx context.Context, i breaker.Info) {
	r, known := b.rejects[i.Reason]
	if !known {
		r = b.rejects[other]
	}
	if i.Mode == breaker.ObserveOnly {
		b.shadowed.Add(ctx, 1, r.count...)
		return
	}
	b.rejections.Add(ctx, 1, r.count...)
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.AddEvent(eventReject, r.event)
	}
}

func (b *breakers) changed(i breaker.Info) {
	ctx := context.Background()
	b.changes.Add(ctx, 1, b.with(state(fromKey, i.From), state(toKey, i.State), reason(i.Reason)))
	if i.From != breaker.Closed {
		b.notClosed.Add(ctx, -1, b.with(state(stateKey, i.From)))
	}
	if i.State != breaker.Closed {
		b.notClosed.Add(ctx, 1, b.with(state(stateKey, i.State)))
	}
	if i.Reason != breaker.Forced {
		return
	}
	if forces(i.FromMode) {
		b.forced.Add(ctx, -1, b.with(mode(i.FromMode)))
	}
	if forces(i.Mode) {
		b.forced.Add(ctx, 1, b.with(mode(i.Mode)))
	}
}

func (b *breakers) untracked(breaker.Info) {
	b.overflows.Add(context.Background(), 1, b.with())
}

// forces reports whether nobody but the operator decides in this mode. The other two may be those that a
// breaker begins in, of which hooks are not told.
func forces(m breaker.Mode) bool { return m == breaker.ForcedOpen || m == breaker.ForcedClosed }

func state(key attribute.Key, s breaker.State) attribute.KeyValue {
	return key.String(snake(s.String()))
}

func mode(m breaker.Mode) attribute.KeyValue { return modeKey.String(snake(m.String())) }

// reasons are those of package breaker. An engine of the program may have others.
var reasons = []breaker.Reason{
	breaker.TooManyFailures, breaker.TooManySlow, breaker.Decided, breaker.Forced,
	breaker.Probing, breaker.Recovering, breaker.Recovered,
}

func reason(why breaker.Reason) attribute.KeyValue {
	switch {
	case why == "": // another engine does not say
		return reasonKey.String(nothing)
	case slices.Contains(reasons, why):
		return reasonKey.String(snake(string(why)))
	}
	return reasonKey.String(other)
}
