package breaker_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/breaker"
)

func TestHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changed, rejectedInfos, ended []breaker.Info
		b := newBreaker(t, &breaker.Options{
			MinCalls: 2, Probes: 1, OpenFor: time.Second, SlowAfter: time.Minute,
			Hooks: &breaker.Hooks{
				Changed:  func(i breaker.Info) { changed = append(changed, i) },
				Rejected: func(_ context.Context, i breaker.Info) { rejectedInfos = append(rejectedInfos, i) },
				Ended:    func(_ context.Context, i breaker.Info) { ended = append(ended, i) },
			},
		})
		p := acquire(t, b)
		time.Sleep(time.Second)
		p.Done(errCall)
		call(t, b, breaker.Failure)
		r := rejection(t, b)
		time.Sleep(time.Second)
		call(t, b, breaker.Success)
		b.ForceOpen()
		b.Reset()

		open := changed[0].OpenFor
		if open <= 0 || open > time.Second {
			t.Errorf("open for %v", open)
		}
		want := []breaker.Info{
			{
				Name: "b", State: breaker.Open, Reason: breaker.TooManyFailures, Number: 1,
				Counts: breaker.Counts{Calls: 2, Failed: 2}, OpenFor: open,
			},
			{Name: "b", From: breaker.Open, State: breaker.HalfOpen, Reason: breaker.TooManyFailures, Number: 2},
			{
				Name: "b", From: breaker.HalfOpen, State: breaker.Closed, Reason: breaker.Recovered, Number: 3,
				Counts: breaker.Counts{Calls: 1},
			},
			{Name: "b", Mode: breaker.ForcedOpen, Reason: breaker.Forced, Number: 3},
			{Name: "b", FromMode: breaker.ForcedOpen, Reason: breaker.Forced, Number: 4},
		}
		if !slices.Equal(changed, want) {
			t.Errorf("changed:\n%+v, want\n%+v", changed, want)
		}
		if want := (breaker.Info{Name: "b", State: breaker.Open, Reason: breaker.TooManyFailures, Err: r}); len(rejectedInfos) != 1 || rejectedInfos[0] != want {
			t.Errorf("rejected: %+v", rejectedInfos)
		}
		if want := []breaker.Info{
			{Name: "b", Outcome: breaker.Failure, Took: time.Second, Err: errCall},
			{Name: "b", State: breaker.Open, Outcome: breaker.Failure},
			{Name: "b", Outcome: breaker.Success, Probe: true},
		}; !slices.Equal(ended, want) {
			t.Errorf("ended:\n%+v, want\n%+v", ended, want)
		}
	})
}

func TestObserveOnlyTellsOfRejections(t *testing.T) {
	told := 0
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, &breaker.Options{ObserveOnly: true, Hooks: &breaker.Hooks{
			Rejected: func(_ context.Context, i breaker.Info) {
				if i.Mode == breaker.ObserveOnly && i.Reason == breaker.TooManyFailures {
					told++
				}
			},
		}})
		trip(t, b)
		for range 3 {
			call(t, b, breaker.Success)
		}
	})
	if told != 3 {
		t.Errorf("told %d times", told)
	}
}

func TestJoinHooks(t *testing.T) {
	var got []string
	note := func(who string) *breaker.Hooks {
		return &breaker.Hooks{
			Changed:   func(breaker.Info) { got = append(got, who+" changed") },
			Rejected:  func(context.Context, breaker.Info) { got = append(got, who+" rejected") },
			Ended:     func(context.Context, breaker.Info) { got = append(got, who+" ended") },
			Untracked: func(breaker.Info) { got = append(got, who+" untracked") },
		}
	}
	h := breaker.JoinHooks(nil, note("a"), &breaker.Hooks{}, note("b"))
	h.Changed(breaker.Info{})
	h.Rejected(t.Context(), breaker.Info{})
	h.Ended(t.Context(), breaker.Info{})
	h.Untracked(breaker.Info{})
	want := "a changed,b changed,a rejected,b rejected,a ended,b ended,a untracked,b untracked"
	if all := strings.Join(got, ","); all != want {
		t.Error(all)
	}
	if h := breaker.JoinHooks(breaker.LogHooks(nil)); h.Ended != nil || h.Rejected != nil {
		t.Error("what nobody observes costs something")
	}
}

func TestLogHooks(t *testing.T) {
	var text bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "open_for" {
				return slog.Attr{}
			}
			return a
		},
	}))
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, &breaker.Options{MinCalls: 1, Probes: 1, Hooks: breaker.LogHooks(logger)})
		call(t, b, breaker.Failure)
		time.Sleep(breaker.DefaultOpenFor)
		call(t, b, breaker.Success)
		b.ForceClose()
	})
	g, err := breaker.NewGroup[string]("g", &breaker.GroupOptions{MaxKeys: 1, Breaker: &breaker.Options{Hooks: breaker.LogHooks(logger)}})
	if err != nil {
		t.Fatal(err)
	}
	g.Get("a").ForceOpen()
	g.Get("b")
	want := `level=WARN msg="breaker: opened" name=b reason="too many failures" calls=1 failed=1 slow=0
level=INFO msg="breaker: closed" name=b reason=recovered
level=INFO msg="breaker: mode set" name=b mode="forced closed"
level=INFO msg="breaker: mode set" name=g key=a mode="forced open"
level=WARN msg="breaker: group is full, new keys have no breaker" name=g key=b
`
	if got := text.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestDefaultHooksLog(t *testing.T) {
	var text bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&text, nil)))
	defer slog.SetDefault(before)
	trip(t, newBreaker(t, nil))
	if got := text.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "breaker: opened") {
		t.Error(fmt.Sprint(got))
	}
}
