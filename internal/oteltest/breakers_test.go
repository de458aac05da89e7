package oteltest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/concord-go/concord/breaker"
	"github.com/concord-go/concord/concordotel"
)

const openFor = time.Minute

// breakers: one of a group that trips, tries in vain, recovers by degrees and trips again because calls
// are slow; one that is forced; a key for which there is no place; and a breaker that observes only.
func breakers(t *testing.T, ctx context.Context, o *concordotel.Options) {
	hooks, err := concordotel.Breaker(o)
	if err != nil {
		t.Fatal(err)
	}
	each := &breaker.Options{MinCalls: 2, Probes: 1, OpenFor: openFor, SlowAfter: work, Ramp: time.Minute, Hooks: hooks}
	g, err := breaker.NewGroup[string](secret, &breaker.GroupOptions{MaxKeys: 2, Breaker: each})
	if err != nil {
		t.Fatal(err)
	}
	trips(t, ctx, g)
	forces(t, ctx, g)
	through(t, ctx, g.Get(key("c")), 0, nil) // without a breaker

	observed := *each
	observed.ObserveOnly = true
	b, err := breaker.New(secret, &observed)
	if err != nil {
		t.Fatal(err)
	}
	through(t, ctx, b, 0, errors.New(secret))
	through(t, ctx, b, 0, errors.New(secret))
	through(t, ctx, b, 0, nil) // shadowed
	b.Reset()
}

func trips(t *testing.T, ctx context.Context, g *breaker.Group[string]) {
	b := g.Get(key("a"))
	through(t, ctx, b, 0, nil)
	cancelled, cancel := context.WithCancel(ctx)
	p, err := b.Acquire(cancelled)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	p.Done(cancelled.Err())
	through(t, ctx, b, 0, errors.New(secret))
	rejected(t, ctx, b, breaker.TooManyFailures)
	time.Sleep(openFor)
	probe, err := b.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	rejected(t, ctx, b, breaker.Probing)
	probe.Done(errors.New(secret))
	time.Sleep(2 * openFor)
	through(t, ctx, b, 0, nil)
	for { // who gets into the share of the ramp is never told of
		if _, err := b.Acquire(ctx); err != nil {
			break
		}
	}
	time.Sleep(time.Minute)
	through(t, ctx, b, 0, nil)
	through(t, ctx, b, 2*work, nil)
	if b.State() != breaker.Open {
		t.Errorf("after slow calls it is %v", b.State())
	}
}

func forces(t *testing.T, ctx context.Context, g *breaker.Group[string]) {
	b := g.Get(key("b"))
	b.ForceClose()
	b.Reset()
	b.ForceOpen()
	rejected(t, ctx, b, breaker.Forced)
}

// through makes a call.
func through(t *testing.T, ctx context.Context, b *breaker.Breaker, took time.Duration, outcome error) {
	t.Helper()
	_, err := breaker.Do(ctx, b, func(context.Context) (string, error) {
		time.Sleep(took)
		return secret, outcome
	})
	if !errors.Is(err, outcome) {
		t.Errorf("call = %v", err)
	}
}

func rejected(t *testing.T, ctx context.Context, b *breaker.Breaker, why breaker.Reason) {
	t.Helper()
	var r *breaker.RejectedError
	if _, err := b.Acquire(ctx); !errors.As(err, &r) || r.Reason != why {
		t.Errorf("acquire = %v, want %q", err, why)
	}
}

// countedBreakers checks the calls and changes of the story.
func countedBreakers(t *testing.T, e *exporter) {
	rejects := e.values(t, "concord.breaker.rejected")
	if rejects["reason=recovering"] != 1 || rejects["reason=probing"] != 1 || rejects["reason=too_many_failures"] != 1 || rejects["reason=forced"] != 1 || len(rejects) != 4 {
		t.Errorf("rejected: %v", rejects)
	}
	for name, want := range map[string]map[string]float64{
		"concord.breaker.calls": {
			"outcome=success,probe=false,slow=false": 4,
			"outcome=success,probe=false,slow=true":  1,
			"outcome=success,probe=true,slow=false":  1,
			"outcome=failure,probe=false,slow=false": 3,
			"outcome=failure,probe=true,slow=false":  1,
			"outcome=ignored,probe=false,slow=false": 1,
		},
		"concord.breaker.shadowed": {"reason=too_many_failures": 1},
		"concord.breaker.changes": {
			"from=closed,reason=too_many_failures,to=open":    2,
			"from=open,reason=too_many_failures,to=half_open": 2,
			"from=half_open,reason=too_many_failures,to=open": 1,
			"from=half_open,reason=recovered,to=ramping":      1,
			"from=ramping,reason=recovered,to=closed":         1,
			"from=closed,reason=too_many_slow,to=open":        1,
			"from=closed,reason=forced,to=closed":             3,
			"from=open,reason=forced,to=closed":               1,
		},
		"concord.breaker.not_closed": {"state=open": 1, "state=half_open": 0, "state=ramping": 0},
		"concord.breaker.forced":     {"mode=forced_open": 1, "mode=forced_closed": 0},
		"concord.breaker.overflows":  {"": 1},
	} {
		if got := e.values(t, name); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// Every state, mode, outcome and reason has a value in the list, also what an engine of the program makes up.
func TestListKnowsEveryChange(t *testing.T) {
	e := newExporter()
	hooks, err := concordotel.Breaker(e.options())
	if err != nil {
		t.Fatal(err)
	}
	for from := breaker.Closed; from.String() != "unknown"; from++ {
		for to := breaker.Closed; to.String() != "unknown"; to++ {
			hooks.Changed(breaker.Info{Name: secret, Key: secret, From: from, State: to})
		}
	}
	for from := breaker.Automatic; from.String() != "unknown"; from++ {
		for to := breaker.Automatic; to.String() != "unknown"; to++ {
			hooks.Changed(breaker.Info{Name: secret, Key: secret, FromMode: from, Mode: to, Reason: breaker.Forced})
		}
	}
	for o := range breaker.Ignored + 3 { // two that nobody knows
		hooks.Ended(t.Context(), breaker.Info{Name: secret, Key: secret, Outcome: o})
	}
	reasons := append(constants(t, "breaker/state.go", "Reason"), "", secret)
	for _, reason := range reasons {
		hooks.Rejected(t.Context(), breaker.Info{Name: secret, Key: secret, Reason: breaker.Reason(reason)})
		hooks.Changed(breaker.Info{Name: secret, Key: secret, Reason: breaker.Reason(reason)})
	}
	allowed(t, e)
	if got := len(e.series(t, "concord.breaker.rejected")); got != len(reasons) || got != 9 {
		t.Errorf("%d series of %d reasons", got, len(reasons))
	}
	for name, want := range map[string]map[string]float64{
		"concord.breaker.calls": {
			"outcome=success,probe=false,slow=false": 3,
			"outcome=failure,probe=false,slow=false": 1,
			"outcome=ignored,probe=false,slow=false": 1,
		},
		"concord.breaker.not_closed": {"state=open": 0, "state=half_open": 0, "state=ramping": 0},
		"concord.breaker.forced":     {"mode=forced_open": 0, "mode=forced_closed": 0},
	} {
		if got := e.values(t, name); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// That no breaker is open or forced is a number also before one was.
func TestNoneOpenIsZero(t *testing.T) {
	e := newExporter()
	if _, err := concordotel.Breaker(e.options()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]map[string]float64{
		"concord.breaker.not_closed": {"state=open": 0, "state=half_open": 0, "state=ramping": 0},
		"concord.breaker.forced":     {"mode=forced_open": 0, "mode=forced_closed": 0},
	} {
		if got := e.values(t, name); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// A program may ask for the keys of a group, or for what it makes of them. They are bounded all the same.
func TestBreakerKeys(t *testing.T) {
	e := newExporter()
	hooks, err := concordotel.BreakerKeys(func(key string) string { return strings.TrimPrefix(key, secret) }, e.options())
	if err != nil {
		t.Fatal(err)
	}
	g, err := breaker.NewGroup[string](secret, &breaker.GroupOptions{MaxKeys: 3, Breaker: &breaker.Options{Hooks: hooks}})
	if err != nil {
		t.Fatal(err)
	}
	for _, zone := range []string{"a", "b", "b"} {
		through(t, t.Context(), g.Get(secret+zone), 0, nil)
	}
	g.Get(secret + "b").ForceOpen()
	rejected(t, t.Context(), g.Get(secret+"b"), breaker.Forced)
	through(t, t.Context(), g.Get(secret+strings.Repeat("c", 65)), 0, nil)
	g.Get(secret + "full")
	const call = "outcome=success,probe=false,slow=false"
	for name, want := range map[string]map[string]float64{
		"concord.breaker.calls":     {"key=a," + call: 1, "key=b," + call: 2, "key=other," + call: 1},
		"concord.breaker.rejected":  {"key=b,reason=forced": 1},
		"concord.breaker.changes":   {"from=closed,key=b,reason=forced,to=closed": 1},
		"concord.breaker.overflows": {"": 1},
	} {
		if got := e.values(t, name); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if got := e.values(t, "concord.breaker.forced"); got["key=b,mode=forced_open"] != 1 || got["key=a,mode=forced_open"] != 0 || len(got) != 6 {
		t.Errorf("forced: %v", got)
	}
	l := readList(t)
	for _, m := range e.collect(t) {
		want := l.metrics[m.Name].attributes
		if m.Name != "concord.breaker.overflows" {
			want = slices.Sorted(slices.Values(append(slices.Clone(want), "concord.breaker.key")))
		}
		_, all := seriesOf(t, m)
		for _, s := range all {
			if got := names(s.attributes.ToSlice()); !slices.Equal(got, want) {
				t.Errorf("%s has %v, want %v", m.Name, got, want)
			}
		}
	}
	if strings.Contains(e.everything(t), secret) {
		t.Error("the key is exported, and not what was made of it")
	}
}

// Labels are no more than a hundred, and the rest is counted together.
func TestLabelsAreBounded(t *testing.T) {
	e := newExporter()
	hooks, err := concordotel.BreakerKeys(func(key string) string { return key }, e.options())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for i := range 150 {
			hooks.Ended(t.Context(), breaker.Info{Key: fmt.Sprint(i)})
		}
	}
	const call = ",outcome=success,probe=false,slow=false"
	got := e.values(t, "concord.breaker.calls")
	if len(got) != 101 || got["key=99"+call] != 2 || got["key=other"+call] != 100 {
		t.Errorf("%d labels, others %v", len(got), got["key=other"+call])
	}
}
