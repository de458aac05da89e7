package ratelimit_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/ratelimit"
)

// A failure of any kind is told with its cause: that a limit is open while the engine does not answer
// hides nothing.
func TestEveryFailureIsTold(t *testing.T) {
	boom := errors.New("boom")
	var told []ratelimit.Info
	o := &ratelimit.Options{Hooks: &ratelimit.Hooks{Failed: func(i ratelimit.Info) { told = append(told, i) }}}
	bubble(t, o, func(t *testing.T, be *memorybackend.Backend, l *ratelimit.Limiter) {
		be.Control().FailNext(1, boom)
		d := allow(t, l, 2)
		if !d.Allowed || d.Source != ratelimit.FromFallback {
			t.Errorf("%+v", d)
		}
		if len(told) != 1 || !errors.Is(told[0].Err, boom) || told[0].Key != "k" || told[0].N != 2 || told[0].Decision != d {
			t.Errorf("told %+v", told)
		}
	}, perSecond)
}

// Without hooks failures are logged, one line a second.
func TestLogHooks(t *testing.T) {
	var text bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})))
	defer slog.SetDefault(before)
	bubble(t, &ratelimit.Options{}, func(t *testing.T, be *memorybackend.Backend, l *ratelimit.Limiter) {
		be.Control().FailNext(1<<20, errors.New("boom"))
		for range 21 { // the first of each second
			allow(t, l, 1)
			time.Sleep(100 * time.Millisecond)
		}
	}, perSecond)
	const line = `level=WARN msg="ratelimit: the engine does not answer" error="ratelimit: allow \"k\": boom" decided=fallback` + "\n"
	if got := text.String(); got != strings.Repeat(line, 3) {
		t.Errorf("got\n%s", got)
	}
}
