package ratelimit_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/concord-go/concord/ratelimit"
)

// punctual is an engine that has to be asked, never answers, and may say that it keeps deadlines. It notes
// whether it was asked on the goroutine of TestPromptEngine.
type punctual struct {
	prompt, inline bool
}

func (p *punctual) Apply(ctx context.Context, _ []ratelimit.Op, out []ratelimit.Outcome) {
	p.inline = false
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs)])
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		p.inline = p.inline || f.Function == "testing.tRunner"
	}
	<-ctx.Done()
	out[0].Err = ctx.Err()
}

func (p *punctual) Capabilities() ratelimit.Capabilities {
	return ratelimit.Capabilities{Clock: true, Prompt: p.prompt}
}

// An engine that keeps deadlines is asked on the caller's goroutine if nobody can cancel the call. Whoever
// can is not kept waiting.
func TestPromptEngine(t *testing.T) {
	const timeout = 100 * time.Millisecond
	for _, c := range []struct{ prompt, cancellable, inline bool }{
		{true, false, true}, {true, true, false}, {false, false, false}, {false, true, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			be := &punctual{prompt: c.prompt}
			l, err := ratelimit.New(be, policy(t, perSecond), &ratelimit.Options{Timeout: timeout, Hooks: &ratelimit.Hooks{}})
			if err != nil {
				t.Fatal(err)
			}
			defer end(t, l)
			ctx, wait := context.Background(), timeout
			if c.cancellable {
				wait = timeout / 2
				limited, cancel := context.WithTimeout(ctx, wait)
				defer cancel()
				ctx = limited
			}
			start := time.Now()
			d, err := l.Allow(ctx, "k")
			if took := time.Since(start); took != wait {
				t.Errorf("%+v: decided after %v, want %v", c, took, wait)
			}
			if decided := err == nil; decided == c.cancellable || decided && d.Source != ratelimit.FromFallback {
				t.Errorf("%+v: %+v, %v", c, d, err)
			}
			synctest.Wait()
			if be.inline != c.inline {
				t.Errorf("%+v: asked on the caller's goroutine: %v", c, be.inline)
			}
		})
	}
}
