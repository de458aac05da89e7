package oteltest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/embedded"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/concord-go/concord/concordotel"
	"github.com/concord-go/concord/election"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
	"github.com/concord-go/concord/lock"
	"github.com/concord-go/concord/membership"
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
	if slices.Contains(values, "Limit.Name") {
		values = slices.Concat(values, limitNames)
	}
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
		for _, sign := range []string{"concord.lock.held", "concord.lock.acquire", "concord.election.leading", "concord.membership.joined", "concord.ratelimit.decisions", "concord.retry.failures", "concord.breaker.rejected", "concord.fence.raise", "fenced_out"} {
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
			"concord.election.wait.duration": {"": 8},
			"concord.election.term.duration": {
				"end=resigned":     4,
				"end=preempted":    1,
				"end=revoked":      1,
				"end=backend_lost": 1,
				"end=closed":       1,
			},
			"concord.election.leading":         {"": 0},
			"concord.election.drain.duration":  {"outcome=drained": 4, "outcome=late": 1},
			"concord.election.health.changes":  {"healthy=false": 2, "healthy=true": 1},
			"concord.membership.join.duration": {"again=false": 4, "again=true": 2},
			"concord.membership.stay.duration": {
				"end=resigned":     1,
				"end=backend_lost": 1,
				"end=unreachable":  1,
				"end=revoked":      1,
				"end=closed":       2,
			},
			"concord.membership.joined":       {"": 0},
			"concord.membership.members":      {"": 2},
			"concord.ratelimit.shadowed":      {"limit=trial": 3},
			"concord.ratelimit.wait.duration": {"": 1},
			"concord.ratelimit.failures":      {"outcome=unavailable": 1},
			"concord.lock.uncertain":          {"kind=lock,operation=acquire": 2, "kind=lock,operation=release": 1},
			"concord.fence.raise.duration":    {"outcome=raised": 1, "outcome=fenced_out": 1, "outcome=invalid": 1, "outcome=unavailable": 1},
			"concord.fence.fenced_out":        {"": 2},
		} {
			if got := e.values(t, name); !maps.Equal(got, want) {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
		}
		for name, want := range map[string]map[string]time.Duration{
			"concord.lock.hold.duration":       {"end=released,kind=lock": 4900 * time.Millisecond},
			"concord.election.wait.duration":   {"": 1050 * time.Millisecond}, // of the one that preempts
			"concord.election.term.duration":   {"end=backend_lost": 3 * time.Second},
			"concord.membership.join.duration": {"again=false": 0},
			"concord.membership.stay.duration": {"end=resigned": 4 * time.Second, "end=backend_lost": 3 * time.Second},
			"concord.ratelimit.wait.duration":  {"": 3 * time.Minute},
			"concord.election.drain.duration":  {"outcome=drained": 4 * time.Second, "outcome=late": drain},
		} {
			got := e.sums(t, name)
			for label, want := range want {
				if got[label] != want {
					t.Errorf("%s %s: %v in all, want %v", name, label, got[label], want)
				}
			}
		}
		if renewals := e.values(t, "concord.lock.renewal.left"); renewals["kind=lock,outcome=renewed"] < 1 || renewals["kind=lock,outcome=failed"] < 2 {
			t.Errorf("renewals: %v", renewals)
		}
		for primitive, failure := range map[string]string{"election": "unavailable", "membership": "uncertain"} {
			name := "concord." + primitive + ".renewal.left"
			if renewals := e.values(t, name); renewals["outcome=renewed"] < 1 || renewals["outcome=failed"] < 1 {
				t.Errorf("%s: %v", name, renewals)
			}
			name = "concord." + primitive + ".failures"
			if failures := e.values(t, name); failures["outcome="+failure] < 1 || len(failures) != 1 {
				t.Errorf("%s: %v", name, failures)
			}
		}
		countedRates(t, e)
		countedRetries(t, e)
		countedBreakers(t, e)
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

// Every cause that a lease, a term or a stay can end with has a value in the list, also those that no run
// shows.
func TestListKnowsEveryCause(t *testing.T) {
	l := readList(t)
	for c := lease.Expired; c.String() != "unknown"; c++ {
		e := newExporter()
		locks, err := concordotel.Lock(e.options())
		if err != nil {
			t.Fatal(err)
		}
		elections, err := concordotel.Election(e.options())
		if err != nil {
			t.Fatal(err)
		}
		groups, err := concordotel.Membership(e.options())
		if err != nil {
			t.Fatal(err)
		}
		lost := &lease.LostError{Key: secret, Cause: c}
		if c != lease.Preempted { // no stay ends so
			groups.Ended(membership.Info{Err: lost})
		}
		if c != lease.Preempted && c != lease.Resigned { // no lease of a lock ends so
			locks.Lost(lock.Info{Kind: lock.KindRead, Err: lost})
		}
		elections.Ended(election.Info{Err: lost})
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

// Failures that no run shows have outcomes in the list, too.
func TestFailures(t *testing.T) {
	l := readList(t)
	for want, err := range map[string]error{
		"conflict":    membership.ErrConflict,
		"duplicate":   &membership.DuplicateError{ID: secret},
		"too_many":    membership.ErrTooMany,
		"uncertain":   fmt.Errorf("%w: %w", context.Canceled, membership.ErrUncertain),
		"unavailable": membership.ErrUnavailable,
		"closed":      membership.ErrClosed,
		"failed":      errors.New(secret),
	} {
		e := newExporter()
		hooks, newErr := concordotel.Membership(e.options())
		if newErr != nil {
			t.Fatal(newErr)
		}
		hooks.Failed(membership.Info{Err: fmt.Errorf("membership: join %q: %w", secret, err)})
		if got := e.values(t, "concord.membership.failures"); got["outcome="+want] != 1 || len(got) != 1 {
			t.Errorf("%v: %v", err, got)
		}
		if !slices.Contains(l.values["concord.outcome"], want) {
			t.Errorf("%q is not in the list", want)
		}
	}
}

// That nobody leads, or is in the group, is a number also before there was anybody.
func TestNobodyIsZero(t *testing.T) {
	e := newExporter()
	_, errElection := concordotel.Election(e.options())
	_, errMembership := concordotel.Membership(e.options())
	if err := errors.Join(errElection, errMembership); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"concord.election.leading", "concord.membership.joined"} {
		if got, want := e.values(t, name), map[string]float64{"": 0}; !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// A term or a stay of weeks is told from one of hours.
func TestLongTimes(t *testing.T) {
	e := newExporter()
	elections, errElection := concordotel.Election(e.options())
	groups, errMembership := concordotel.Membership(e.options())
	if err := errors.Join(errElection, errMembership); err != nil {
		t.Fatal(err)
	}
	lost := &lease.LostError{Key: secret, Cause: lease.Resigned}
	for _, held := range []time.Duration{2 * time.Hour, 20 * time.Hour, 6 * 24 * time.Hour, 20 * 24 * time.Hour} {
		elections.Ended(election.Info{Held: held, Err: lost})
		groups.Ended(membership.Info{Held: held, Err: lost})
	}
	for _, m := range e.collect(t) {
		if d, ok := m.Data.(metricdata.Histogram[float64]); ok {
			counts := d.DataPoints[0].BucketCounts
			if got := counts[len(counts)-5:]; !slices.Equal(got, []uint64{1, 1, 1, 1, 0}) {
				t.Errorf("the last of the buckets %v have %v", d.DataPoints[0].Bounds, got)
			}
		}
	}
}

// The name of the options is on everything that was made with them.
func TestName(t *testing.T) {
	l := readList(t)
	if got := l.values["concord.name"]; !slices.Equal(got, []string{"Options.Name"}) {
		t.Errorf("the list says of concord.name: %q", got)
	}
	const name = "orders and billing"
	namedStory(t, name, func(t *testing.T, e *exporter) {
		check := func(what string, attributes []attribute.KeyValue) {
			if !slices.Contains(attributes, attribute.String("concord.name", name)) {
				t.Errorf("%s has not the name: %v", what, attributes)
			}
		}
		checked := map[string]bool{}
		for _, m := range e.collect(t) {
			_, all := seriesOf(t, m)
			for _, s := range all {
				check(m.Name, s.attributes.ToSlice())
			}
			checked[m.Name] = true
		}
		for _, s := range e.spans.Ended() {
			for _, event := range s.Events() {
				check(event.Name, event.Attributes)
				checked[event.Name] = true
			}
			if s.InstrumentationScope().Name == concordotel.ScopeName {
				check(s.Name(), s.Attributes())
				checked[s.Name()] = true
			}
		}
		if want := len(l.metrics) + len(l.spans); len(checked) != want {
			t.Errorf("%d were looked at, want %d", len(checked), want)
		}
	})
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

func (broken) Int64Gauge(string, ...metric.Int64GaugeOption) (metric.Int64Gauge, error) {
	return nil, errBroken
}

func (broken) Int64Histogram(string, ...metric.Int64HistogramOption) (metric.Int64Histogram, error) {
	return nil, errBroken
}

func (broken) Float64ObservableGauge(string, ...metric.Float64ObservableGaugeOption) (metric.Float64ObservableGauge, error) {
	return nil, errBroken
}

func TestConstructorsReport(t *testing.T) {
	m := new(struct{ fence.Marks })
	budget := newBudget(t)
	same := func(key string) string { return key }
	for name, construct := range map[string]func(*concordotel.Options) error{
		"Membership":  func(o *concordotel.Options) error { return second(concordotel.Membership(o)) },
		"Lock":        func(o *concordotel.Options) error { return second(concordotel.Lock(o)) },
		"RateLimit":   func(o *concordotel.Options) error { return second(concordotel.RateLimit(o)) },
		"Election":    func(o *concordotel.Options) error { return second(concordotel.Election(o)) },
		"Fenced":      func(o *concordotel.Options) error { return second(concordotel.Fenced(o)) },
		"Marks":       func(o *concordotel.Options) error { return second(concordotel.Marks(m, o)) },
		"Retry":       func(o *concordotel.Options) error { return second(concordotel.Retry(o)) },
		"RetryBudget": func(o *concordotel.Options) error { return second(concordotel.RetryBudget(budget, o)) },
		"Breaker":     func(o *concordotel.Options) error { return second(concordotel.Breaker(o)) },
		"BreakerKeys": func(o *concordotel.Options) error { return second(concordotel.BreakerKeys(same, o)) },
	} {
		good := newExporter()
		good.name = strings.Repeat("n", 64)
		if err := construct(good.options()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, bad := range []string{strings.Repeat("n", 65), "a\xff", "é", "a\nb"} {
			var invalid *fence.InvalidError
			err := construct(&concordotel.Options{Name: bad, MeterProvider: noMeters{}})
			if !errors.Is(err, errBroken) || !errors.As(err, &invalid) || invalid.Field != "Name" {
				t.Errorf("%s with the name %q: %v", name, bad, err)
			}
		}
	}
	var invalid *fence.InvalidError
	if _, err := concordotel.Marks(nil, nil); !errors.As(err, &invalid) || invalid.Field != "marks" {
		t.Errorf("Marks(nil) = %v", err)
	}
	if _, err := concordotel.RetryBudget(nil, nil); !errors.As(err, &invalid) || invalid.Field != "budget" {
		t.Errorf("RetryBudget(nil) = %v", err)
	}
	if _, err := concordotel.BreakerKeys(nil, nil); !errors.As(err, &invalid) || invalid.Field != "label" {
		t.Errorf("BreakerKeys(nil) = %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

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
