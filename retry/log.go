package retry

import (
	"context"
	"log/slog"
)

// LogHooks returns hooks that write to logger calls that failed after attempts or for want of budget or
// time, as warnings, and further attempts, as information. Permanent failures and calls that nobody
// wants any more are answers, not failures, and not logged. nil means [slog.Default] at the time of
// the event.
func LogHooks(logger *slog.Logger) *Hooks {
	log := func(ctx context.Context, level slog.Level, msg string, i Info, more ...any) {
		to := logger
		if to == nil {
			to = slog.Default()
		}
		to.Log(ctx, level, msg, append([]any{"name", i.Name, "attempt", i.Attempt}, more...)...)
	}
	return &Hooks{
		Scheduled: func(ctx context.Context, i Info) {
			log(ctx, slog.LevelInfo, "retry: another attempt follows", i, "delay", i.Delay, "class", i.Class.String(), "error", i.Err)
		},
		Hedged: func(ctx context.Context, i Info) {
			log(ctx, slog.LevelInfo, "retry: attempt is slow and hedged", i, "delay", i.Delay)
		},
		GaveUp: func(ctx context.Context, i Info) {
			switch i.Reason {
			case PermanentFailure, Canceled, InnerExhausted:
			default:
				log(ctx, slog.LevelWarn, "retry: gave up", i, "reason", string(i.Reason), "error", i.Err)
			}
		},
	}
}
