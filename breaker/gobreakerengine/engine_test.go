package gobreakerengine_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/concord-go/concord/breaker"
	"github.com/concord-go/concord/breaker/gobreakerengine"
)

// The rules that both engines share are tested in package breaker, on both.

func newBreaker(t *testing.T, st gobreaker.Settings, h *breaker.Hooks) *breaker.Breaker {
	t.Helper()
	b, err := breaker.New("b", &breaker.Options{Engine: gobreakerengine.New(st, nil), Hooks: h})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func report(t *testing.T, b *breaker.Breaker, n int, o breaker.Outcome) {
	t.Helper()
	for range n {
		p, err := b.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.Report(o)
	}
}

func TestSettingsThatTheBreakerHasAreRefused(t *testing.T) {
	_, err := breaker.New("b", &breaker.Options{Engine: gobreakerengine.New(gobreaker.Settings{
		OnStateChange: func(string, gobreaker.State, gobreaker.State) {},
		IsSuccessful:  func(error) bool { return true },
		IsExcluded:    func(error) bool { return true },
	}, &gobreakerengine.Options{ProbeTimeout: 25 * time.Hour})})
	if !errors.Is(err, breaker.ErrInvalid) {
		t.Fatal(err)
	}
	for _, field := range []string{"OnStateChange", "IsSuccessful", "IsExcluded", "ProbeTimeout"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

// TestDefaults pins the differences that the package comment names.
func TestDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []breaker.State
		h := &breaker.Hooks{Changed: func(i breaker.Info) {
			told = append(told, i.State)
			if i.Reason != "" || i.Number != 0 || i.OpenFor != 0 || i.Counts != (breaker.Counts{}) {
				t.Errorf("%+v", i)
			}
		}}
		b := newBreaker(t, gobreaker.Settings{}, h)
		report(t, b, 1000, breaker.Success)
		report(t, b, 5, breaker.Failure)
		time.Sleep(1000 * time.Hour) // it never forgets
		if s := b.State(); s != breaker.Closed {
			t.Fatal(s)
		}
		report(t, b, 1, breaker.Failure)
		_, err := b.Acquire(t.Context())
		var r *breaker.RejectedError
		if !errors.As(err, &r) || r.RetryAfter() != time.Minute {
			t.Fatalf("%v", err)
		}
		time.Sleep(time.Minute + 1)
		if s := b.State(); s != breaker.HalfOpen { // it looks at the clock
			t.Errorf("%v", s)
		}
		report(t, b, 1, breaker.Success)
		if len(told) != 3 || told[2] != breaker.Closed {
			t.Errorf("told of %v", told)
		}
	})
}

// TestResetForgetsChanges shows that a run which is over tells no more.
func TestResetForgetsChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changes := 0
		b := newBreaker(t, gobreaker.Settings{}, &breaker.Hooks{Changed: func(i breaker.Info) {
			if i.Reason != breaker.Forced {
				changes++
			}
		}})
		var late []*breaker.Permit
		for range 10 {
			p, err := b.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			late = append(late, &p)
		}
		b.Reset()
		for _, p := range late {
			p.Report(breaker.Failure)
		}
		if s := b.State(); s != breaker.Closed || changes != 0 {
			t.Errorf("%v, %d changes", s, changes)
		}
	})
}
