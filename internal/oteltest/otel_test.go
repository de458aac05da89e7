package oteltest

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/embedded"
	metricnoop "go.opentelemetry.io/otel/metric/noop"

	"github.com/concord-go/concord/concordotel"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lock"
)

// TestListIsWhatIsExported compares docs/operations.md with a run in which everything happens, both
// ways.
func TestListIsWhatIsExported(t *testing.T) {
	l := readList(t)
	story(t, func(t *testing.T, e *exporter) {
		metrics, spans := map[string]row{}, map[string]row{}
		allow := func(kvs []attribute.KeyValue) {
			for _, kv := range kvs {
				if !l.allows(kv) {
					t.Errorf("%s = %q is not in the list", kv.Key, kv.Value.String())
				}
			}
		}
		for _, m := range e.collect(t) {
			kind, all := seriesOf(t, m)
			r := row{kind: kind, unit: m.Unit}
			if m.Description == "" {
				t.Errorf("%s has no description", m.Name)
			}
			for _, s := range all {
				kvs := s.attributes.ToSlice()
				allow(kvs)
				r.attributes = names(kvs)
				if r.kind != l.metrics[m.Name].kind || r.unit != l.metrics[m.Name].unit || !slices.Equal(r.attributes, l.metrics[m.Name].attributes) {
					t.Errorf("%s is exported as %v, listed as %v", m.Name, r, l.metrics[m.Name])
				}
			}
			metrics[m.Name] = r
		}
		for _, s := range e.spans.Ended() {
			for _, event := range s.Events() {
				allow(event.Attributes)
				spans[event.Name] = row{kind: "event", attributes: names(event.Attributes)}
			}
			if s.InstrumentationScope().Name == concordotel.ScopeName {
				allow(s.Attributes())
				spans[s.Name()] = row{kind: "span", attributes: names(s.Attributes())}
			}
		}
		for name := range l.metrics {
			if _, ok := metrics[name]; !ok {
				t.Errorf("%s is listed and not exported", name)
			}
		}
		for name, r := range spans {
			if want := l.spans[name]; r.kind != want.kind || !slices.Equal(r.attributes, want.attributes) {
				t.Errorf("%s is exported as %v, listed as %v", name, r, want)
			}
		}
		for name := range l.spans {
			if _, ok := spans[name]; !ok {
				t.Errorf("%s is listed and not exported", name)
			}
		}
	})
}

func (l list) allows(kv attribute.KeyValue) bool {
	values := l.values[string(kv.Key)]
	if kv.Value.Type() != attribute.INT64 {
		return slices.Contains(values, kv.Value.String())
	}
	var bounds []int64
	for _, v := range values {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return false
		}
		bounds = append(bounds, n)
	}
	return len(bounds) == 2 && slices.Min(bounds) <= kv.Value.AsInt64() && kv.Value.AsInt64() <= slices.Max(bounds)
}

// TestNothingNamedIsExported looks for what the program named in all that leaves the process.
func TestNothingNamedIsExported(t *testing.T) {
	story(t, func(t *testing.T, e *exporter) {
		all := e.everything(t)
		for _, sign := range []string{"concord.lock.held", "concord.lock.acquire", "concord.fence.raise", "fenced_out"} {
			if !strings.Contains(all, sign) {
				t.Errorf("%q is not exported either", sign)
			}
		}
		if i := strings.Index(all, secret); i >= 0 {
			t.Errorf("exported: …%s…", all[max(0, i-200):min(len(all), i+200)])
		}
	})
}

func TestNumbers(t *testing.T) {
	story(t, func(t *testing.T, e *exporter) {
		for name, want := range map[string]map[string]float64{
			"concord.lock.acquire.duration": {
				"kind=lock,outcome=granted,try=false":    7,
				"kind=lock,outcome=held,try=true":        1,
				"kind=lock,outcome=cancelled,try=false":  1,
				"kind=lock,outcome=uncertain,try=false":  2,
				"kind=lock,outcome=closed,try=false":     1,
				"kind=write,outcome=granted,try=false":   1,
				"kind=read,outcome=granted,try=false":    1,
				"kind=permit,outcome=granted,try=false":  1,
				"kind=permit,outcome=conflict,try=false": 1,
			},
			"concord.lock.hold.duration": {
				"end=released,kind=lock":     4,
				"end=revoked,kind=lock":      1,
				"end=backend_lost,kind=lock": 1,
				"end=unreachable,kind=lock":  1,
				"end=closed,kind=lock":       1,
				"end=released,kind=write":    1,
				"end=released,kind=read":     1,
				"end=released,kind=permit":   1,
			},
			"concord.lock.held": {"kind=lock": 0, "kind=write": 0, "kind=read": 0, "kind=permit": 0},
			"concord.lock.lost": {
				"end=revoked,kind=lock":      1,
				"end=backend_lost,kind=lock": 1,
				"end=unreachable,kind=lock":  1,
				"end=closed,kind=lock":       1,
			},
			"concord.lock.uncertain":       {"kind=lock,operation=acquire": 2, "kind=lock,operation=release": 1},
			"concord.fence.raise.duration": {"outcome=raised": 1, "outcome=fenced_out": 1, "outcome=invalid": 1, "outcome=unavailable": 1},
			"concord.fence.fenced_out":     {"": 2},
		} {
			if got := e.values(t, name); !maps.Equal(got, want) {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
		}
		for _, m := range e.collect(t) {
			_, all := seriesOf(t, m)
			for _, s := range all {
				if m.Name == "concord.lock.hold.duration" && label(s.attributes) == "end=released,kind=lock" && s.sum != 3.9+1 {
					t.Errorf("held for %v s in all, want 4.9", s.sum)
				}
			}
		}
		if renewals := e.values(t, "concord.lock.renewal.left"); renewals["kind=lock,outcome=renewed"] < 1 || renewals["kind=lock,outcome=failed"] < 2 {
			t.Errorf("renewals: %v", renewals)
		}
		if cleanups := e.values(t, "concord.lock.cleanups"); cleanups["outcome=confirmed"] < 1 || cleanups["outcome=failed"] < 1 {
			t.Errorf("clean-ups: %v", cleanups)
		}
	})
}

func TestSpans(t *testing.T) {
	story(t, func(t *testing.T, e *exporter) {
		failures := 0
		var root [8]byte
		for _, s := range e.spans.Ended() {
			if s.Name() == "request" {
				root = s.SpanContext().SpanID()
				if n := len(s.Events()); n == 0 {
					t.Error("no release was noted on the span of the program")
				}
			}
		}
		for _, s := range e.spans.Ended() {
			if s.Name() == "request" {
				continue
			}
			if s.Parent().SpanID() != root {
				t.Errorf("%s is not a child of the caller's span", s.Name())
			}
			outcome := ""
			for _, kv := range s.Attributes() {
				if kv.Key == "concord.outcome" {
					outcome = kv.Value.AsString()
				}
			}
			failed := slices.Contains([]string{"uncertain", "unavailable", "failed"}, outcome)
			if got := s.Status().Code == codes.Error; got != failed {
				t.Errorf("%s %s has status %v", s.Name(), outcome, s.Status())
			}
			if failed {
				failures++
			}
		}
		if failures == 0 {
			t.Error("no span failed")
		}
		if started, ended := len(e.spans.Started()), len(e.spans.Ended()); started != ended {
			t.Errorf("%d spans were started and %d ended", started, ended)
		}
	})
}

// Every cause of a loss and every kind has a value in the list, also those that no run shows.
func TestListKnowsEveryCause(t *testing.T) {
	l := readList(t)
	for _, c := range []lock.Cause{
		lock.Expired, lock.Unreachable, lock.Revoked, lock.ClockJump, lock.BackendLost, lock.BackendRegressed, lock.Closed,
	} {
		e := newExporter()
		hooks, err := concordotel.Lock(e.options())
		if err != nil {
			t.Fatal(err)
		}
		hooks.Lost(lock.Info{Kind: lock.KindRead, Err: &lock.LostError{Key: secret, Cause: c}})
		for _, m := range e.collect(t) {
			_, all := seriesOf(t, m)
			for _, s := range all {
				for _, kv := range s.attributes.ToSlice() {
					if !l.allows(kv) {
						t.Errorf("%s = %q is not in the list", kv.Key, kv.Value.String())
					}
				}
			}
		}
	}
}

// noMeters is a MeterProvider whose meters make nothing.
type noMeters struct{ embedded.MeterProvider }

func (noMeters) Meter(string, ...metric.MeterOption) metric.Meter { return broken{metricnoop.Meter{}} }

type broken struct{ metric.Meter }

var errBroken = errors.New("broken meter")

func (broken) Float64Histogram(string, ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return nil, errBroken
}

func (broken) Int64Counter(string, ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	return nil, errBroken
}

func (broken) Int64UpDownCounter(string, ...metric.Int64UpDownCounterOption) (metric.Int64UpDownCounter, error) {
	return nil, errBroken
}

func TestConstructorsReport(t *testing.T) {
	bad := &concordotel.Options{MeterProvider: noMeters{}}
	if _, err := concordotel.Lock(bad); !errors.Is(err, errBroken) {
		t.Errorf("Lock = %v", err)
	}
	if _, err := concordotel.Fenced(bad); !errors.Is(err, errBroken) {
		t.Errorf("Fenced = %v", err)
	}
	m := new(struct{ fence.Marks })
	if _, err := concordotel.Marks(m, bad); !errors.Is(err, errBroken) {
		t.Errorf("Marks = %v", err)
	}
	var invalid *fence.InvalidError
	if _, err := concordotel.Marks(nil, nil); !errors.As(err, &invalid) || invalid.Field != "marks" {
		t.Errorf("Marks(nil) = %v", err)
	}
}

// early are hooks that were made before the program set its providers.
var early, errEarly = concordotel.Lock(nil)

// global is what the program sets, once in a process.
var global = sync.OnceValue(func() *exporter {
	e := newExporter()
	otel.SetTracerProvider(e.tracer)
	otel.SetMeterProvider(e.meters)
	return e
})

func TestGlobalProviders(t *testing.T) {
	if errEarly != nil {
		t.Fatal(errEarly)
	}
	e := global()
	late, err := concordotel.Lock(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, hooks := range []*lock.Hooks{early, late} {
		before := len(e.spans.Ended())
		i := lock.Info{Kind: lock.KindLock}
		hooks.AcquireEnd(hooks.AcquireStart(t.Context(), i), i)
		if got := len(e.spans.Ended()); got != before+1 || len(e.collect(t)) != 1 {
			t.Errorf("%d spans, %d before, and %d metrics", got, before, len(e.collect(t)))
		}
	}
}
