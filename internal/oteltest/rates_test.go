package oteltest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/concordotel"
	"github.com/concord-go/concord/ratelimit"
)

// limitNames are the names of the limits of the story.
var limitNames = []string{"hour", "trial"}

// remote is an engine that has to be asked.
type remote struct{ ratelimit.Backend }

// rates: calls that are allowed and refused by each who can decide, one that waits, and one that a limit on
// trial would have refused.
func rates(t *testing.T, ctx context.Context, be *memorybackend.Backend, o *concordotel.Options) {
	hooks, err := concordotel.RateLimit(o)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ratelimit.NewPolicy(
		ratelimit.Limit{Name: "hour", N: 20, Per: time.Hour, Down: ratelimit.Closed},
		ratelimit.Limit{Name: "trial", N: 19, Per: time.Hour, Shadow: true})
	if err != nil {
		t.Fatal(err)
	}
	l, err := ratelimit.New(remote{be.Limits()}, p, &ratelimit.Options{Hooks: hooks, Allowance: &ratelimit.Allowance{Life: 10 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 22 { // 20 pass, the last of them against the trial; the last call is refused without asking
		if d, err := l.Allow(ctx, key("client")); err != nil || d.Allowed != (i < 20) {
			t.Errorf("call %d: %+v, %v", i, d, err)
		}
	}
	waits, err := l.Reserve(ctx, key("client"), 1, time.Hour)
	if err != nil || waits.Decision.Wait != 3*time.Minute {
		t.Errorf("reserve = %+v, %v", waits, err)
	}
	be.Control().FailNext(1, nil)
	if d, err := l.Allow(ctx, key("other")); err != nil || d.Allowed || d.Source != ratelimit.FromFallback {
		t.Errorf("without the engine: %+v, %v", d, err)
	}
	if err := l.Close(ctx); err != nil {
		t.Error(err)
	}
	synctest.Wait()
}

// countedRates checks the decisions of the story. How many of them are the engine's is up to the sizes of
// the allowances.
func countedRates(t *testing.T, e *exporter) {
	decisions, took := e.values(t, "concord.ratelimit.decisions"), e.values(t, "concord.ratelimit.decision.duration")
	engine, allowance := decisions["limit=none,outcome=allowed,source=engine"], decisions["limit=none,outcome=allowed,source=allowance"]
	if engine < 1 || allowance < 1 || engine+allowance != 21 || len(decisions) != 5 || len(took) != 4 {
		t.Errorf("decisions: %v, took: %v", decisions, took)
	}
	for _, source := range []string{"engine", "denial", "fallback"} {
		if got := decisions["limit=hour,outcome=refused,source="+source]; got != 1 {
			t.Errorf("%v were refused by the %s", got, source)
		}
	}
	if took["source=engine"] != engine+1 || took["source=allowance"] != allowance {
		t.Errorf("decisions: %v, took: %v", decisions, took)
	}
}

// Failures of limits that no run shows have outcomes in the list, too.
func TestFailuresOfLimits(t *testing.T) {
	l := readList(t)
	for want, err := range map[string]error{
		"uncertain":   ratelimit.ErrUncertain,
		"unavailable": ratelimit.ErrUnavailable,
		"closed":      ratelimit.ErrClosed,
		"cancelled":   context.DeadlineExceeded,
		"failed":      errors.New(secret),
	} {
		e := newExporter()
		hooks, newErr := concordotel.RateLimit(e.options())
		if newErr != nil {
			t.Fatal(newErr)
		}
		hooks.Failed(ratelimit.Info{Key: secret, Err: fmt.Errorf("ratelimit: allow %q: %w", secret, err)})
		if got := e.values(t, "concord.ratelimit.failures"); got["outcome="+want] != 1 || len(got) != 1 {
			t.Errorf("%v: %v", err, got)
		}
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

// Every source of a decision has a value in the list.
func TestListKnowsEverySource(t *testing.T) {
	l := readList(t)
	e := newExporter()
	hooks, err := concordotel.RateLimit(e.options())
	if err != nil {
		t.Fatal(err)
	}
	sources := 0
	for s := ratelimit.FromEngine; s.String() != "unknown"; s++ {
		hooks.Decided(ratelimit.Info{Key: secret, Decision: ratelimit.Decision{Allowed: true, Source: s}})
		sources++
	}
	series := e.series(t, "concord.ratelimit.decisions")
	for _, s := range series {
		for _, kv := range s.attributes.ToSlice() {
			if !l.allows(kv) {
				t.Errorf("%s = %q is not in the list", kv.Key, kv.Value.String())
			}
		}
	}
	if len(series) != sources || sources != 4 {
		t.Errorf("%d series of %d sources", len(series), sources)
	}
}
