package concordotel

import (
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// ScopeName is the name of the instrumentation scope of all spans and metrics.
const ScopeName = "github.com/concord-go/concord/concordotel"

// Options say where spans and metrics go. nil means all defaults.
type Options struct {
	// TracerProvider makes the spans. The default is the global provider of package otel, also one
	// that is set later. The provider of otel's package trace/noop turns spans off.
	TracerProvider trace.TracerProvider

	// MeterProvider makes the metrics. The default is the global provider of package otel, also one
	// that is set later. The provider of otel's package metric/noop turns metrics off.
	MeterProvider metric.MeterProvider

	_ struct{}
}

func (o *Options) tracer() trace.Tracer {
	if o == nil || o.TracerProvider == nil {
		return otel.GetTracerProvider().Tracer(ScopeName)
	}
	return o.TracerProvider.Tracer(ScopeName)
}

func (o *Options) meter() metric.Meter {
	if o == nil || o.MeterProvider == nil {
		return otel.GetMeterProvider().Meter(ScopeName)
	}
	return o.MeterProvider.Meter(ScopeName)
}
