package breaker

import "log/slog"

// LogHooks returns hooks that write to logger when a breaker opens or its group is full, as warnings,
// and when it closes or its mode is set, as information. Trials in between and single calls are not
// logged. nil means [slog.Default] at the time of the event.
func LogHooks(logger *slog.Logger) *Hooks {
	to := func() *slog.Logger {
		if logger == nil {
			return slog.Default()
		}
		return logger
	}
	return &Hooks{
		Changed: func(i Info) {
			who := []any{"name", i.Name}
			if i.Key != "" {
				who = append(who, "key", i.Key)
			}
			switch {
			case i.Reason == Forced:
				to().Info("breaker: mode set", append(who, "mode", i.Mode.String())...)
			case i.State == Open:
				to().Warn("breaker: opened", append(who, "reason", string(i.Reason), "open_for", i.OpenFor,
					"calls", i.Counts.Calls, "failed", i.Counts.Failed, "slow", i.Counts.Slow)...)
			case i.State == Closed:
				to().Info("breaker: closed", append(who, "reason", string(i.Reason))...)
			}
		},
		Untracked: func(i Info) {
			to().Warn("breaker: group is full, new keys have no breaker", "name", i.Name, "key", i.Key)
		},
	}
}
