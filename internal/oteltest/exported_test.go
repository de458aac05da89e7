package oteltest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/concord-go/concord/concordotel"
)

// exporter keeps everything that is exported.
type exporter struct {
	reader *sdkmetric.ManualReader
	meters *sdkmetric.MeterProvider
	spans  *tracetest.SpanRecorder
	tracer *sdktrace.TracerProvider
	name   string // of the options
}

func newExporter() *exporter {
	e := &exporter{reader: sdkmetric.NewManualReader(), spans: tracetest.NewSpanRecorder()}
	e.meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(e.reader))
	e.tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(e.spans))
	return e
}

func (e *exporter) options() *concordotel.Options {
	return &concordotel.Options{Name: e.name, TracerProvider: e.tracer, MeterProvider: e.meters}
}

// collect returns the metrics of our scope.
func (e *exporter) collect(t *testing.T) []metricdata.Metrics {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := e.reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	var ours []metricdata.Metrics
	for _, s := range all.ScopeMetrics {
		if s.Scope.Name != concordotel.ScopeName {
			t.Errorf("scope %q", s.Scope.Name)
		}
		ours = append(ours, s.Metrics...)
	}
	return ours
}

// series is one combination of attributes of a metric.
type series struct {
	attributes attribute.Set
	value      float64 // of a histogram its count
	sum        float64 // of a histogram
}

// seriesOf returns the type of a metric as the list calls it, and its series.
func seriesOf(t *testing.T, m metricdata.Metrics) (kind string, all []series) {
	t.Helper()
	switch d := m.Data.(type) {
	case metricdata.Histogram[float64]:
		for _, p := range d.DataPoints {
			all = append(all, series{p.Attributes, float64(p.Count), p.Sum})
		}
		return "histogram", all
	case metricdata.Histogram[int64]:
		for _, p := range d.DataPoints {
			all = append(all, series{p.Attributes, float64(p.Count), float64(p.Sum)})
		}
		return "histogram", all
	case metricdata.Sum[int64]:
		for _, p := range d.DataPoints {
			all = append(all, series{attributes: p.Attributes, value: float64(p.Value)})
		}
		if d.IsMonotonic {
			return "counter", all
		}
		return "up-down counter", all
	case metricdata.Gauge[int64]:
		for _, p := range d.DataPoints {
			all = append(all, series{attributes: p.Attributes, value: float64(p.Value)})
		}
		return "gauge", all
	case metricdata.Gauge[float64]:
		for _, p := range d.DataPoints {
			all = append(all, series{attributes: p.Attributes, value: p.Value})
		}
		return "gauge", all
	}
	t.Fatalf("%s is a %T", m.Name, m.Data)
	return "", nil
}

// series returns the series of a metric by their labels.
func (e *exporter) series(t *testing.T, name string) map[string]series {
	t.Helper()
	got := map[string]series{}
	for _, m := range e.collect(t) {
		if m.Name != name {
			continue
		}
		_, all := seriesOf(t, m)
		for _, s := range all {
			got[label(s.attributes)] = s
		}
	}
	return got
}

// values returns what the series of a metric count.
func (e *exporter) values(t *testing.T, name string) map[string]float64 {
	t.Helper()
	got := map[string]float64{}
	for label, s := range e.series(t, name) {
		got[label] = s.value
	}
	return got
}

// sums returns the times that the series of a histogram add up to, to the millisecond.
func (e *exporter) sums(t *testing.T, name string) map[string]time.Duration {
	t.Helper()
	got := map[string]time.Duration{}
	for label, s := range e.series(t, name) {
		got[label] = time.Duration(s.sum * float64(time.Second)).Round(time.Millisecond)
	}
	return got
}

// label is "a=x,b=y", with the last word of each attribute.
func label(set attribute.Set) string {
	var parts []string
	for _, kv := range set.ToSlice() {
		key := string(kv.Key)
		parts = append(parts, key[strings.LastIndexByte(key, '.')+1:]+"="+kv.Value.String())
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

// everything is all that would leave the process, as text.
func (e *exporter) everything(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	metrics, err := json.Marshal(e.collect(t))
	if err != nil {
		t.Fatal(err)
	}
	b.Write(metrics)
	for _, s := range tracetest.SpanStubsFromReadOnlySpans(e.spans.Ended()) {
		fmt.Fprintf(&b, "\n%+v", s)
	}
	return b.String()
}

func names(attributes []attribute.KeyValue) []string {
	var all []string
	for _, kv := range attributes {
		all = append(all, string(kv.Key))
	}
	slices.Sort(all)
	return all
}
