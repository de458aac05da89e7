package oteltest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/concord-go/concord/concordotel"
	"github.com/concord-go/concord/retry"
)

const (
	pause = time.Second            // between attempts of the story
	work  = 100 * time.Millisecond // of an attempt
)

// learnt is how many calls of the story go well before one is slow.
const learnt = 200

func newBudget(t *testing.T) *retry.Budget {
	t.Helper()
	b, err := retry.NewBudget(secret, &retry.BudgetOptions{NoFloor: true, Capacity: 2})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// retries: a call for each end that there can be and attempts of each class, then two calls that are
// slow and hedged.
func retries(t *testing.T, ctx context.Context, o *concordotel.Options) {
	hooks, err := concordotel.Retry(o)
	if err != nil {
		t.Fatal(err)
	}
	budget := newBudget(t)
	if _, err := concordotel.RetryBudget(budget, o); err != nil {
		t.Fatal(err)
	}
	failure := errors.New(secret)
	mark := func(class retry.Class) error { return retry.Mark(failure, class) }
	for _, c := range []struct {
		end    retry.Reason
		within time.Duration
		nested int
		o      retry.Options
		script []error
	}{
		{end: "", script: nil},
		{end: "", script: []error{failure}},
		{end: retry.DeadlineTooNear, within: pause, script: []error{failure}},
		{end: retry.AttemptsExhausted, script: []error{context.DeadlineExceeded, context.DeadlineExceeded, context.DeadlineExceeded}},
		{end: retry.PermanentFailure, script: []error{retry.Permanent(failure)}},
		{end: retry.Canceled, script: []error{context.Canceled}},
		{end: retry.InnerExhausted, script: []error{&retry.ExhaustedError{Name: secret, Last: failure}}},
		{end: retry.NestedAttempt, nested: 2, script: []error{failure}},
		{end: retry.TimeExhausted, o: retry.Options{TotalTimeout: work / 2}, script: []error{failure}},
		{end: retry.NotRepeatable, o: retry.Options{OnlyUnsent: true}, script: []error{mark(retry.ClassUnsent), failure}},
		{end: retry.BudgetExhausted, o: retry.Options{Budget: budget, MaxAttempts: 9}, script: slices.Repeat([]error{mark(retry.ClassThrottled)}, 9)},
	} {
		ctx, cancel := retry.WithAttempt(ctx, c.nested), func() {}
		if c.within > 0 {
			ctx, cancel = context.WithTimeout(ctx, c.within)
		}
		_, err := retry.Do(ctx, retrier(t, c.o, hooks), follow(c.script))
		cancel()
		var gone *retry.ExhaustedError
		if c.end == "" && err != nil || c.end != "" && (!errors.As(err, &gone) || gone.Reason != c.end) {
			t.Errorf("%v, want the end %q", err, c.end)
		}
	}
	hedges(t, ctx, hooks)
}

// hedges: a hedge that wins and one that does not.
func hedges(t *testing.T, ctx context.Context, hooks *retry.Hooks) {
	r := retrier(t, retry.Options{}, hooks)
	for i, slow := range append(make([]time.Duration, learnt), time.Hour, work+work/2) {
		n, err := retry.Hedge(ctx, r, func(ctx context.Context, a retry.Attempt) (int, error) {
			took := work
			if a.Number == 1 {
				took = max(slow, work)
			}
			select {
			case <-time.After(took):
				return a.Number, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		})
		if err != nil || (n == 2) != (slow == time.Hour) {
			t.Errorf("call %d: attempt %d, %v", i, n, err)
		}
	}
	if err := r.Close(ctx); err != nil {
		t.Error(err)
	}
}

func retrier(t *testing.T, o retry.Options, hooks *retry.Hooks) *retry.Retrier {
	t.Helper()
	o.Hooks, o.Backoff = hooks, retry.Constant(pause)
	r, err := retry.New(secret, &o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// follow fails as the script says, and goes well when it is over.
func follow(script []error) func(context.Context, retry.Attempt) (string, error) {
	return func(_ context.Context, a retry.Attempt) (string, error) {
		time.Sleep(work)
		if a.Number <= len(script) {
			return "", script[a.Number-1]
		}
		return secret, nil
	}
}

// countedRetries checks the attempts of the story.
func countedRetries(t *testing.T, e *exporter) {
	ends := map[string]float64{
		"end=succeeded": 2 + learnt + 2, "end=attempts_exhausted": 1, "end=budget_exhausted": 1, "end=deadline_too_near": 1,
		"end=time_exhausted": 1, "end=canceled": 1, "end=permanent_failure": 1, "end=inner_exhausted": 1,
		"end=nested_attempt": 1, "end=not_repeatable": 1,
	}
	for name, want := range map[string]map[string]float64{
		"concord.retry.call.duration": ends,
		"concord.retry.call.attempts": ends,
		"concord.retry.failures": {
			"class=transient": 5, "class=timeout": 3, "class=permanent": 1, "class=canceled": 1,
			"class=exhausted": 1, "class=unsent": 1, "class=throttled": 3,
		},
		"concord.retry.wait.duration": {"class=transient": 1, "class=timeout": 2, "class=unsent": 1, "class=throttled": 2},
		"concord.retry.hedge.delay":   {"": 2},
		"concord.retry.hedge.won":     {"": 1},
		"concord.retry.budget.level":  {"": 0},
	} {
		if got := e.values(t, name); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if took := e.sums(t, "concord.retry.call.duration"); took["end=attempts_exhausted"] != 3*work+2*pause || took["end=time_exhausted"] != work {
		t.Errorf("took %v", took)
	}
	if waits := e.sums(t, "concord.retry.wait.duration"); waits["class=timeout"] != 2*pause {
		t.Errorf("waits: %v", waits)
	}
	attempts := e.series(t, "concord.retry.call.attempts")
	for end, want := range map[string]float64{"succeeded": 3 + learnt + 4, "attempts_exhausted": 3, "budget_exhausted": 3, "nested_attempt": 1} {
		if got := attempts["end="+end].sum; got != want {
			t.Errorf("%s: %v attempts, want %v", end, got, want)
		}
	}
	if hedged := e.sums(t, "concord.retry.hedge.delay")[""]; hedged < 2*work || hedged > 3*work {
		t.Errorf("hedged after %v in all", hedged)
	}
}

// The attempts of a call can be read from the span of its caller, in their order.
func TestEventsOfAttempts(t *testing.T) {
	e := newExporter()
	hooks, err := concordotel.Retry(e.options())
	if err != nil {
		t.Fatal(err)
	}
	r, err := retry.New(secret, &retry.Options{MaxAttempts: 2, Backoff: retry.Constant(0), Hooks: hooks})
	if err != nil {
		t.Fatal(err)
	}
	ctx, span := e.tracer.Tracer("program").Start(t.Context(), "request")
	failure := errors.New(secret)
	for _, script := range [][]error{nil, {failure}, {failure, failure}} {
		_, _ = retry.Do(ctx, r, func(_ context.Context, a retry.Attempt) (int, error) {
			if a.Number <= len(script) {
				return 0, script[a.Number-1]
			}
			return a.Number, nil
		})
	}
	span.End()
	var got []string
	for _, event := range e.spans.Ended()[0].Events() {
		got = append(got, event.Name+" "+label(attribute.NewSet(event.Attributes...)))
	}
	want := []string{
		"concord.retry.fail attempt=1,class=transient",
		"concord.retry.recover attempt=2,hedged=false",
		"concord.retry.fail attempt=1,class=transient",
		"concord.retry.fail attempt=2,class=transient",
		"concord.retry.give_up attempt=2,end=attempts_exhausted",
	}
	if !slices.Equal(got, want) {
		t.Errorf("events: %q, want %q", got, want)
	}
}

// Every reason and every class has a value in the list, and a different one.
func TestListKnowsEveryEndOfCalls(t *testing.T) {
	e := newExporter()
	hooks, err := concordotel.Retry(e.options())
	if err != nil {
		t.Fatal(err)
	}
	reasons := constants(t, "retry/errors.go", "Reason")
	for _, reason := range reasons {
		hooks.Ended(t.Context(), retry.Info{Name: secret, Reason: retry.Reason(reason)})
	}
	classes := 0
	for c := retry.ClassTransient; c.String() != "unknown"; c++ {
		hooks.Failed(t.Context(), retry.Info{Name: secret, Class: c})
		classes++
	}
	allowed(t, e)
	if got := len(e.series(t, "concord.retry.call.duration")); got != len(reasons) || got != 9 {
		t.Errorf("%d ends of %d reasons", got, len(reasons))
	}
	if got := len(e.series(t, "concord.retry.failures")); got != classes || got != 7 {
		t.Errorf("%d series of %d classes", got, classes)
	}
}

// The level of a budget is what it is at the time of the export, until it is no longer registered.
func TestBudgetIsObserved(t *testing.T) {
	e := newExporter()
	e.name = "payments"
	budget := newBudget(t)
	registration, err := concordotel.RetryBudget(budget, e.options())
	if err != nil {
		t.Fatal(err)
	}
	r, err := retry.New(secret, &retry.Options{Budget: budget, MaxAttempts: 2, Backoff: retry.Constant(0)})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []float64{2, 1, 0} {
		if got := e.values(t, "concord.retry.budget.level"); !maps.Equal(got, map[string]float64{"name=payments": want}) {
			t.Errorf("level %v, want %v", got, want)
		}
		_, _ = retry.Do(t.Context(), r, func(context.Context, retry.Attempt) (int, error) { return 0, errors.New(secret) })
	}
	if err := registration.Unregister(); err != nil {
		t.Error(err)
	}
	if got := e.values(t, "concord.retry.budget.level"); len(got) != 0 {
		t.Errorf("after Unregister: %v", got)
	}
}

// allowed checks all that was exported against the list.
func allowed(t *testing.T, e *exporter) {
	t.Helper()
	l := readList(t)
	for _, m := range e.collect(t) {
		_, all := seriesOf(t, m)
		for _, s := range all {
			for _, kv := range s.attributes.ToSlice() {
				if !l.allows(kv) {
					t.Errorf("%s: %s = %q is not in the list", m.Name, kv.Key, kv.Value.String())
				}
			}
		}
	}
}
