package lock

import (
	"context"
	"errors"
	"log/slog"
)

// LogHooks returns hooks that write what goes wrong to logger: losses, failed renewals, uncertain
// outcomes and clean-ups that were not confirmed, as warnings. What goes well is not logged.
// Refusals and the end of the caller's own context are answers, not failures, and not logged
// either. nil means [slog.Default] at the time of the event.
func LogHooks(logger *slog.Logger) *Hooks {
	warn := func(ctx context.Context, msg string, i Info, more ...any) {
		to := logger
		if to == nil {
			to = slog.Default()
		}
		to.WarnContext(ctx, msg, append([]any{"key", i.Key, "token", i.Token, "error", i.Err}, more...)...)
	}
	return &Hooks{
		AcquireEnd: func(ctx context.Context, i Info) {
			if errors.Is(i.Err, ErrUncertain) || errors.Is(i.Err, ErrUnavailable) {
				warn(ctx, "lock: acquire did not get an answer", i, "wait", i.Wait)
			}
		},
		ReleaseEnd: func(ctx context.Context, i Info) {
			if i.Err != nil {
				warn(ctx, "lock: release failed", i, "held", i.Held)
			}
		},
		Renewed: func(i Info) {
			if i.Err != nil {
				warn(context.Background(), "lock: renewal failed", i, "left", i.Left)
			}
		},
		Lost: func(i Info) {
			warn(context.Background(), "lock: lease lost", i, "held", i.Held)
		},
		Cleaned: func(i Info) {
			if i.Err != nil {
				warn(context.Background(), "lock: clean-up was not confirmed", i, "tries", i.Tries)
			}
		},
	}
}
