package ratelimit

import (
	"log/slog"
	"time"
)

// Hooks observe a [Limiter]. Every func may be nil. They are called outside locks, by several
// goroutines, on the path of the call: they must be quick and must not call what they observe.
type Hooks struct {
	// Decided reports a decision on a call.
	Decided func(Info)
	// Failed reports that the engine did not answer: Err says why. If a call waited for it, Limit.Down
	// has decided it.
	Failed func(Info)
}

// Info is what hooks are told. Fields that do not apply are zero.
type Info struct {
	Key      string
	N        int64
	Decision Decision
	Took     time.Duration // until the decision
	Err      error
}

// JoinHooks returns hooks that call each of the given ones in order. nil entries are skipped.
func JoinHooks(hooks ...*Hooks) *Hooks {
	var decided, failed []func(Info)
	for _, h := range hooks {
		if h != nil && h.Decided != nil {
			decided = append(decided, h.Decided)
		}
		if h != nil && h.Failed != nil {
			failed = append(failed, h.Failed)
		}
	}
	return &Hooks{Decided: each(decided), Failed: each(failed)}
}

// each returns a func that calls all, or nil if there is none: a decision that nobody looks at costs
// nothing.
func each(all []func(Info)) func(Info) {
	if len(all) == 0 {
		return nil
	}
	return func(i Info) {
		for _, f := range all {
			f(i)
		}
	}
}

// LogHooks returns hooks that write to logger, as warnings, what goes wrong: at most one line a
// second. nil means [slog.Default] at the time of the event.
func LogHooks(logger *slog.Logger) *Hooks {
	var seldom seldom
	return &Hooks{Failed: func(i Info) {
		if !seldom.now() {
			return
		}
		to := logger
		if to == nil {
			to = slog.Default()
		}
		to.Warn("ratelimit: the engine does not answer", "error", i.Err, "decided", i.Decision.Source.String())
	}}
}
