package concordotel

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/concord-go/concord/lock"
)

const (
	spanAcquire  = "concord.lock.acquire"
	eventRelease = "concord.lock.release"
)

// Lock returns hooks that make spans and metrics of what Lockers, RWLockers and Semaphores report.
// One set of hooks serves any number of them. Join it with [lock.LogHooks] to keep the log.
//
// The error is a [*fence.InvalidError] about the options, or that of the MeterProvider.
func Lock(o *Options) (*lock.Hooks, error) {
	m := o.instruments()
	l := &locks{
		labels:    o.labels(),
		tracer:    o.tracer(),
		wait:      m.histogram("concord.lock.acquire.duration", "How long acquires took, waiting included."),
		hold:      m.histogram("concord.lock.hold.duration", "How long leases were held."),
		held:      m.upDown("concord.lock.held", "{lease}", "Leases that this process holds."),
		left:      m.histogram("concord.lock.renewal.left", "Time to the deadline when a renewal was answered or failed."),
		lost:      m.counter("concord.lock.lost", "{lease}", "Leases that were lost."),
		uncertain: m.counter("concord.lock.uncertain", "{operation}", "Operations that the engine did not answer."),
		cleanups:  m.counter("concord.lock.cleanups", "{cleanup}", "Clean-ups in the background that have ended."),
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	return &lock.Hooks{
		AcquireStart: l.acquireStart,
		AcquireEnd:   l.acquireEnd,
		ReleaseEnd:   l.releaseEnd,
		Begun:        l.begun,
		Ended:        l.ended,
		Renewed:      l.renewed,
		Lost:         l.lose,
		Cleaned:      l.cleaned,
	}, nil
}

// locks holds the instruments of package lock.
type locks struct {
	labels
	tracer    trace.Tracer
	wait      metric.Float64Histogram
	hold      metric.Float64Histogram
	held      metric.Int64UpDownCounter
	left      metric.Float64Histogram
	lost      metric.Int64Counter
	uncertain metric.Int64Counter
	cleanups  metric.Int64Counter
}

// ours is the key of our span in a context. Other hooks may put spans of their own above it.
type ours struct{ *locks }

func (l *locks) acquireStart(ctx context.Context, i lock.Info) context.Context {
	ctx, span := l.tracer.Start(ctx, spanAcquire, l.on(
		kind(i), tryKey.Bool(i.Try), keysKey.Int(max(i.Keys, 1))))
	return context.WithValue(ctx, ours{l}, span)
}

func (l *locks) acquireEnd(ctx context.Context, i lock.Info) {
	o := outcomeOf(i.Err, granted)
	l.wait.Record(ctx, i.Wait.Seconds(), l.with(kind(i), tryKey.Bool(i.Try), o.attribute()))
	l.doubt(ctx, i, o, "acquire")
	if span, ok := ctx.Value(ours{l}).(trace.Span); ok {
		o.mark(span)
		span.End()
	}
}

func (l *locks) releaseEnd(ctx context.Context, i lock.Info) {
	o := outcomeOf(i.Err, released)
	l.doubt(ctx, i, o, "release")
	trace.SpanFromContext(ctx).AddEvent(eventRelease, l.on(kind(i), o.attribute()))
}

// doubt counts an uncertain outcome.
func (l *locks) doubt(ctx context.Context, i lock.Info, o outcome, operation string) {
	if o == uncertain {
		l.uncertain.Add(ctx, 1, l.with(kind(i), operationKey.String(operation)))
	}
}

func (l *locks) begun(i lock.Info) {
	l.held.Add(context.Background(), 1, l.with(kind(i)))
}

func (l *locks) ended(i lock.Info) {
	ctx := context.Background()
	l.held.Add(ctx, -1, l.with(kind(i)))
	l.hold.Record(ctx, i.Held.Seconds(), l.with(kind(i), end(lockEndKey, i.Err)))
}

func (l *locks) renewed(i lock.Info) {
	l.left.Record(context.Background(), max(i.Left, 0).Seconds(), l.with(kind(i), either(i.Err, renewed, failed).attribute()))
}

func (l *locks) lose(i lock.Info) {
	l.lost.Add(context.Background(), 1, l.with(kind(i), end(lockEndKey, i.Err)))
}

func (l *locks) cleaned(i lock.Info) {
	l.cleanups.Add(context.Background(), 1, l.with(either(i.Err, confirmed, failed).attribute()))
}

func kind(i lock.Info) attribute.KeyValue { return kindKey.String(string(i.Kind)) }
