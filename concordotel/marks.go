package concordotel

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/concord-go/concord/fence"
)

const spanRaise = "concord.fence.raise"

// Marks returns marks that work on next, measure each Raise and count the tokens that are fenced
// out. Results are passed on as they are; Mark is not measured.
//
// All problems are reported at once, each as a [*fence.InvalidError] or as the error of the
// MeterProvider.
func Marks(next fence.Marks, o *Options) (fence.Marks, error) {
	m := o.instruments()
	if next == nil {
		m.errs = append(m.errs, &fence.InvalidError{Field: "marks", Problem: "must not be nil"})
	}
	w := &marks{
		Marks:  next,
		labels: o.labels(),
		tracer: o.tracer(),
		took:   m.histogram("concord.fence.raise.duration", "How long raises of a mark took."),
		fenced: fences(m),
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	return w, nil
}

// Fenced returns a func that counts its error if it is a token that was fenced out, and returns it
// as it is. It is for the guarded writes themselves, which are not made through [fence.Marks]:
//
//	return fenced(ctx, guard.Set(ctx, "orders:42", l.Token(), "paid", 0))
//
// Use it for writes only: [Marks] counts the refusals of a Raise by itself.
//
// The error is a [*fence.InvalidError] about the options, or that of the MeterProvider.
func Fenced(o *Options) (func(ctx context.Context, err error) error, error) {
	m := o.instruments()
	fenced, all := fences(m), o.labels()
	if err := m.err(); err != nil {
		return nil, err
	}
	return func(ctx context.Context, err error) error {
		if errors.Is(err, fence.ErrFenced) {
			fenced.Add(ctx, 1, all.with())
		}
		return err
	}, nil
}

func fences(m *instruments) metric.Int64Counter {
	return m.counter("concord.fence.fenced_out", "{refusal}", "Tokens that were refused because the mark was higher.")
}

// marks measures the marks that it embeds.
type marks struct {
	fence.Marks
	labels
	tracer trace.Tracer
	took   metric.Float64Histogram
	fenced metric.Int64Counter
}

// Raise implements [fence.Marks].
func (m *marks) Raise(ctx context.Context, resource string, token fence.Token) error {
	ctx, span := m.tracer.Start(ctx, spanRaise, m.on())
	defer span.End()
	start := time.Now()
	err := m.Marks.Raise(ctx, resource, token)
	o := outcomeOf(err, raised)
	m.took.Record(ctx, time.Since(start).Seconds(), m.with(o.attribute()))
	if o == fencedOut {
		m.fenced.Add(ctx, 1, m.with())
	}
	o.mark(span)
	return err
}
