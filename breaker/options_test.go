package breaker_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/concord-go/concord/breaker"
	"github.com/concord-go/concord/breaker/gobreakerengine"
)

// fields returns the fields that an error names.
func fields(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	if !errors.Is(err, breaker.ErrInvalid) {
		t.Errorf("%v does not match ErrInvalid", err)
	}
	var all []string
	for _, line := range strings.Split(err.Error(), "\n") {
		line = line[strings.LastIndex(line, ": ")+1:]
		all = append(all, strings.Fields(line)[0])
	}
	return strings.Join(all, " ")
}

func TestOptionsOutOfBounds(t *testing.T) {
	for _, c := range []struct {
		o    breaker.Options
		want string
	}{
		{breaker.Options{}, ""},
		{breaker.Options{Window: 99 * time.Millisecond}, "Window"},
		{breaker.Options{Window: 100 * time.Millisecond}, ""},
		{breaker.Options{Window: 24*time.Hour + 1}, "Window"},
		{breaker.Options{Window: time.Second, Calls: 100}, "Window"},
		{breaker.Options{Calls: -1}, "Calls"},
		{breaker.Options{Calls: 1}, ""},
		{breaker.Options{Calls: 10, MinCalls: 11}, "MinCalls"},
		{breaker.Options{Calls: 10, MinCalls: breaker.DefaultMinCalls}, "MinCalls"},
		{breaker.Options{Calls: 1_000_001}, "Calls"},
		{breaker.Options{MinCalls: -1, FailureRate: -0.1}, "MinCalls FailureRate"},
		{breaker.Options{FailureRate: 1.01}, "FailureRate"},
		{breaker.Options{FailureRate: math.NaN()}, "FailureRate"},
		{breaker.Options{SlowRate: 0.5}, "SlowRate"},
		{breaker.Options{SlowAfter: time.Second}, ""},
		{breaker.Options{SlowAfter: -1, SlowRate: 2}, "SlowAfter SlowRate"},
		{breaker.Options{OpenFor: -1}, "OpenFor"},
		{breaker.Options{OpenFor: time.Hour}, ""},
		{breaker.Options{OpenFor: time.Hour, MaxOpenFor: time.Minute}, "MaxOpenFor"},
		{breaker.Options{OpenFor: 25 * time.Hour}, "OpenFor MaxOpenFor"},
		{breaker.Options{Probes: 17}, "Probes"},
		{breaker.Options{Probes: breaker.MaxProbes}, ""},
		{breaker.Options{ProbeTimeout: time.Microsecond, Ramp: -1}, "ProbeTimeout Ramp"},
		{breaker.Options{Engine: gobreakerengine.New(gobreaker.Settings{}, nil)}, ""},
		{breaker.Options{Engine: gobreakerengine.New(gobreaker.Settings{}, nil), Window: time.Second, Voter: &fleet{}}, "Window Voter"},
	} {
		_, err := breaker.New("b", &c.o)
		if got := fields(t, err); got != c.want {
			t.Errorf("%+v: %q, want %q: %v", c.o, got, c.want, err)
		}
	}
}

func TestNameOutOfBounds(t *testing.T) {
	long := strings.Repeat("x", breaker.MaxName)
	for name, want := range map[string]string{"": "name", long: "", long + "x": "name"} {
		_, err := breaker.New(name, nil)
		if got := fields(t, err); got != want {
			t.Errorf("%d bytes: %v", len(name), err)
		}
		_, err = breaker.NewGroup[int](name, nil)
		if got := fields(t, err); got != want {
			t.Errorf("group, %d bytes: %v", len(name), err)
		}
	}
}

func TestOptionsAreCopied(t *testing.T) {
	o := &breaker.Options{MinCalls: 1, Hooks: &breaker.Hooks{}}
	b := newBreaker(t, o)
	o.Classify = func(error) breaker.Outcome { return breaker.Success }
	o.Hooks.Changed = func(breaker.Info) { t.Error("told") }
	acquire(t, b).Done(errCall)
	want(t, b, breaker.Open)
}
