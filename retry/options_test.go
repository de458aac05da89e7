package retry_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/concord-go/concord/retry"
)

// invalid returns the fields that an error names.
func invalid(t *testing.T, err error) (fields []string) {
	t.Helper()
	var walk func(error)
	walk = func(err error) {
		var field *retry.InvalidError
		switch e := err.(type) {
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				walk(err)
			}
		case interface{ Unwrap() error }:
			walk(e.Unwrap())
		default:
			if !errors.As(err, &field) || !errors.Is(err, retry.ErrInvalid) {
				t.Errorf("%v is no InvalidError", err)
				return
			}
			fields = append(fields, field.Field)
		}
	}
	walk(err)
	return fields
}

func TestInvalidOptions(t *testing.T) {
	_, err := retry.New("", &retry.Options{
		MaxAttempts: 101, AttemptTimeout: -1, TotalTimeout: -1, MaxRetryAfter: -1,
		Budget: noFloor(t), NoBudget: true, HedgeQuantile: 0.4, HedgeShare: 1.1, HedgeDelay: -1,
	})
	got := strings.Join(invalid(t, err), " ")
	if want := "name MaxAttempts AttemptTimeout TotalTimeout MaxRetryAfter Budget HedgeQuantile HedgeShare HedgeDelay"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	_, err = retry.NewBudget(strings.Repeat("x", 129), &retry.BudgetOptions{
		Ratio: math.NaN(), Floor: 1001, NoFloor: true, Capacity: 1, Costs: retry.Costs{Timeout: -1, Hedge: 1001},
	})
	got = strings.Join(invalid(t, err), " ")
	if want := "name Ratio Floor Floor Costs.Timeout Costs.Hedge Capacity"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestLimitsOfOptions(t *testing.T) {
	for _, o := range []*retry.Options{
		nil,
		{},
		{MaxAttempts: 1, AttemptTimeout: 1, TotalTimeout: 1, MaxRetryAfter: 1, HedgeQuantile: 0.5, HedgeShare: 0.001, HedgeDelay: 1},
		{MaxAttempts: 100, MaxRetryAfter: math.MaxInt64, HedgeQuantile: 0.999, HedgeShare: 1, HedgeDelay: time.Hour},
	} {
		if _, err := retry.New(strings.Repeat("x", 128), o); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
	for _, o := range []*retry.BudgetOptions{
		nil,
		{Ratio: 1, Floor: 1000, Capacity: 100_000, Costs: retry.Costs{Timeout: 1000}},
		{Ratio: 0.001, NoFloor: true, Capacity: 2, Costs: retry.Costs{Unsent: 0.001}},
	} {
		b, err := retry.NewBudget("x", o)
		if err != nil {
			t.Errorf("%+v: %v", o, err)
		} else if b.Level() != b.Capacity() || b.Name() != "x" {
			t.Errorf("%+v: %v of %v at first", o, b.Level(), b.Capacity())
		}
	}
}

func TestBudgets(t *testing.T) {
	if b := newRetrier(t, &retry.Options{NoBudget: true}).Budget(); b != nil {
		t.Errorf("%v", b)
	}
	own := newRetrier(t, nil)
	if own.Name() != "server" || own.Budget().Name() != "server" || own.Budget().Capacity() != retry.DefaultCapacity {
		t.Errorf("%q: %q of %v", own.Name(), own.Budget().Name(), own.Budget().Capacity())
	}
	shared := noFloor(t)
	if newRetrier(t, &retry.Options{Budget: shared}).Budget() != shared {
		t.Error("another budget than the given one")
	}
}
