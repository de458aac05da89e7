package concordotel

import (
	"strconv"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/concord-go/concord/fence"
)

// ScopeName is the name of the instrumentation scope of all spans and metrics.
const ScopeName = "github.com/concord-go/concord/concordotel"

// maxName is how many bytes a name may have.
const maxName = 64

// Options say where spans and metrics go. nil means all defaults.
type Options struct {
	// Name becomes the attribute concord.name of everything that is made with these options, and tells
	// one election, group, limiter, Retrier, breaker or use of locks from another: at most 64 bytes of
	// printable ASCII. It is exported as it is, so choose one of a few names that the program knows in advance, and never
	// a key. The default is none, without the attribute.
	Name string

	// TracerProvider makes the spans. The default is the global provider of package otel, also one
	// that is set later. The provider of otel's package trace/noop turns spans off.
	TracerProvider trace.TracerProvider

	// MeterProvider makes the metrics. The default is the global provider of package otel, also one
	// that is set later. The provider of otel's package metric/noop turns metrics off.
	MeterProvider metric.MeterProvider

	_ struct{}
}

// instruments begins to make instruments. What is wrong with the options is reported with the rest.
func (o *Options) instruments() *instruments {
	m := &instruments{meter: o.meter()}
	if o != nil && !exportable(o.Name) {
		m.errs = append(m.errs, &fence.InvalidError{
			Field: "Name", Problem: "must have at most " + strconv.Itoa(maxName) + " bytes of printable ASCII",
		})
	}
	return m
}

// exportable reports whether a text may be an attribute.
func exportable(text string) bool {
	strange := func(r rune) bool { return r < ' ' || r > '~' }
	return len(text) <= maxName && !strings.ContainsFunc(text, strange)
}

// labels returns the attributes of everything that is made with these options.
func (o *Options) labels() labels {
	if o == nil || o.Name == "" {
		return nil
	}
	return labels{nameKey.String(o.Name)}
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
