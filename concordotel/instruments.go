package concordotel

import (
	"errors"
	"fmt"
	"slices"

	"go.opentelemetry.io/otel/metric"
)

// bounds are those of all histograms, in seconds: from a lock in memory to work of an hour.
// longBounds follow where something may last for weeks.
var bounds = []float64{
	0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
	1, 2.5, 5, 10, 30, 60, 300, 900, 3600,
}

var longBounds = []float64{6 * 3600, 24 * 3600, 7 * 24 * 3600, 30 * 24 * 3600}

// instruments makes instruments and gathers what goes wrong with it.
type instruments struct {
	meter metric.Meter
	errs  []error
}

func (m *instruments) histogram(name, description string, more ...float64) metric.Float64Histogram {
	i, err := m.meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description),
		metric.WithExplicitBucketBoundaries(slices.Concat(bounds, more)...))
	m.errs = append(m.errs, err)
	return i
}

// attempts makes a histogram of numbers of attempts, of which a call has at most 100.
func (m *instruments) attempts(name, description string) metric.Int64Histogram {
	i, err := m.meter.Int64Histogram(name, metric.WithUnit("{attempt}"), metric.WithDescription(description),
		metric.WithExplicitBucketBoundaries(0, 1, 2, 3, 4, 5, 7, 10, 20, 50))
	m.errs = append(m.errs, err)
	return i
}

func (m *instruments) counter(name, unit, description string) metric.Int64Counter {
	i, err := m.meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
	m.errs = append(m.errs, err)
	return i
}

func (m *instruments) upDown(name, unit, description string) metric.Int64UpDownCounter {
	i, err := m.meter.Int64UpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	m.errs = append(m.errs, err)
	return i
}

func (m *instruments) gauge(name, unit, description string) metric.Int64Gauge {
	i, err := m.meter.Int64Gauge(name, metric.WithUnit(unit), metric.WithDescription(description))
	m.errs = append(m.errs, err)
	return i
}

// observed makes a gauge that is read when metrics are collected.
func (m *instruments) observed(name, unit, description string) metric.Float64ObservableGauge {
	i, err := m.meter.Float64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description))
	m.errs = append(m.errs, err)
	return i
}

func (m *instruments) err() error {
	if err := errors.Join(m.errs...); err != nil {
		return fmt.Errorf("concordotel: %w", err)
	}
	return nil
}
