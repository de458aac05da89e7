package retry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/retry"
)

// record returns hooks that write down what they are told.
func record(to *[]string) *retry.Hooks {
	note := func(event string) func(context.Context, retry.Info) {
		return func(_ context.Context, i retry.Info) {
			*to = append(*to, fmt.Sprintf("%s %s %d %s %v %s %v", event, i.Name, i.Attempt, i.Class, i.Delay, i.Reason, i.Err != nil))
		}
	}
	return &retry.Hooks{
		Failed: note("failed"), Scheduled: note("scheduled"), Hedged: note("hedged"), Recovered: note("recovered"), GaveUp: note("gave up"),
	}
}

func TestHooks(t *testing.T) {
	for _, c := range []struct {
		name     string
		failures []error
		want     []string
	}{
		{"first attempt", nil, nil},
		{"recovered", []error{errDown}, []string{
			"failed server 1 transient 0s  true",
			"scheduled server 2 transient 1s  true",
			"recovered server 2 unknown 0s  false",
		}},
		{"permanent", []error{retry.Permanent(errDown)}, []string{
			"failed server 1 permanent 0s  true",
			"gave up server 1 permanent 0s permanent failure true",
		}},
		{"exhausted", []error{errDown, context.DeadlineExceeded}, []string{
			"failed server 1 transient 0s  true",
			"scheduled server 2 transient 1s  true",
			"failed server 2 timeout 0s  true",
			"gave up server 2 timeout 0s all attempts failed true",
		}},
	} {
		for name, call := range map[string]func(context.Context, *retry.Retrier, func(context.Context, retry.Attempt) (int, error)) (int, error){
			"Do": retry.Do[int], "Hedge": retry.Hedge[int],
		} {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var got []string
					r := newRetrier(t, &retry.Options{MaxAttempts: 2, Backoff: retry.Constant(time.Second), Hooks: record(&got)})
					fn, _ := script(c.failures...)
					_, _ = call(t.Context(), r, fn)
					if !slices.Equal(got, c.want) {
						t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
					}
				})
			})
		}
	}
}

// The end of a call is told once, with the error that it returns.
func TestGaveUpHasTheError(t *testing.T) {
	var told []error
	r := newRetrier(t, &retry.Options{Hooks: &retry.Hooks{GaveUp: func(_ context.Context, i retry.Info) { told = append(told, i.Err) }}})
	fn, _ := script(retry.Permanent(errDown))
	if _, err := retry.Do(t.Context(), r, fn); len(told) != 1 || told[0] != err {
		t.Errorf("told %v, returned %v", told, err)
	}
}

// The end of every call is told, with all that it took.
func TestEnded(t *testing.T) {
	const pause, work = time.Second, 100 * time.Millisecond
	for _, c := range []struct {
		name     string
		failures []error
		o        retry.Options
		want     retry.Info
	}{
		{name: "first attempt", want: retry.Info{Attempt: 1, Took: work}},
		{name: "recovered", failures: []error{errDown}, want: retry.Info{Attempt: 2, Took: work + pause + work}},
		{name: "gave up", failures: []error{errDown, errDown}, want: retry.Info{Attempt: 2, Took: work + pause + work, Reason: retry.AttemptsExhausted}},
		{
			name: "total time", o: retry.Options{TotalTimeout: work / 2},
			want: retry.Info{Attempt: 1, Took: work / 2, Reason: retry.TimeExhausted},
		},
	} {
		for name, call := range map[string]func(context.Context, *retry.Retrier, func(context.Context, retry.Attempt) (int, error)) (int, error){
			"Do": retry.Do[int], "Hedge": retry.Hedge[int],
		} {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var told []retry.Info
					o := c.o
					o.MaxAttempts, o.Backoff = 2, retry.Constant(pause)
					o.Hooks = retry.JoinHooks(nil, &retry.Hooks{Ended: func(_ context.Context, i retry.Info) { told = append(told, i) }})
					fn, _ := script(c.failures...)
					_, err := call(t.Context(), newRetrier(t, &o), func(ctx context.Context, a retry.Attempt) (int, error) {
						if _, err := takes(work)(ctx, a); err != nil {
							return 0, err
						}
						return fn(ctx, a)
					})
					want := c.want
					want.Name, want.Err = "server", err
					if len(told) != 1 || told[0] != want {
						t.Errorf("told %+v, want %+v", told, want)
					}
				})
			})
		}
	}
}

// A call that is ended before it begins has an end, too.
func TestEndedWithoutAttempt(t *testing.T) {
	var told []retry.Info
	r := newRetrier(t, &retry.Options{Hooks: &retry.Hooks{Ended: func(_ context.Context, i retry.Info) { told = append(told, i) }}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := retry.Do(ctx, r, answer); len(told) != 1 || told[0].Attempt != 0 || told[0].Reason != retry.Canceled || told[0].Err != err {
		t.Errorf("told %+v, returned %v", told, err)
	}
}

func TestJoinHooks(t *testing.T) {
	var a, b []string
	r := newRetrier(t, &retry.Options{Hooks: retry.JoinHooks(record(&a), nil, &retry.Hooks{}, record(&b)), Backoff: retry.Constant(0)})
	fn, _ := script(errDown, retry.Permanent(errDown))
	if _, err := retry.Do(t.Context(), r, fn); err == nil || len(a) != 4 || !slices.Equal(a, b) {
		t.Errorf("%v: %q, %q", err, a, b)
	}
	if h := retry.JoinHooks(record(&a), &retry.Hooks{}); h.Ended != nil || h.GaveUp == nil {
		t.Error("what nobody observes costs something")
	}
}

func TestLogHooks(t *testing.T) {
	for _, c := range []struct {
		failures []error
		want     []string
	}{
		{nil, nil},
		{[]error{retry.Permanent(errDown)}, nil},
		{[]error{context.Canceled}, nil},
		{[]error{errDown}, []string{`level=INFO msg="retry: another attempt follows" name=server attempt=2 delay=0s class=transient error=down`}},
		{[]error{errDown, errDown}, []string{
			`level=INFO msg="retry: another attempt follows" name=server attempt=2 delay=0s class=transient error=down`,
			`level=WARN msg="retry: gave up" name=server attempt=2 reason="all attempts failed"`,
		}},
	} {
		var out bytes.Buffer
		r := newRetrier(t, &retry.Options{
			MaxAttempts: 2, Backoff: retry.Constant(0), Hooks: retry.LogHooks(slog.New(slog.NewTextHandler(&out, nil))),
		})
		fn, _ := script(c.failures...)
		_, _ = retry.Do(t.Context(), r, fn)
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(c.want) == 0 && out.Len() == 0 {
			continue
		}
		if len(lines) != len(c.want) {
			t.Errorf("%v: logged\n%s", errors.Join(c.failures...), out.String())
			continue
		}
		for i, want := range c.want {
			if !strings.Contains(lines[i], want) {
				t.Errorf("%s\nwant %s", lines[i], want)
			}
		}
	}
}
