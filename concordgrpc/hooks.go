package concordgrpc

import (
	"log/slog"
)

// Hooks observe a [Resolver]. Every func may be nil. They are called by several goroutines and must
// be quick.
type Hooks struct {
	// Resolved reports that a client was told the addresses: how many, and in Err why it could not use
	// them. Err matches [membership.ErrNoMember] if there is none.
	Resolved func(Info)

	// Unwatched reports that a client will hear of no more changes, and why: the error of the Watch.
	// It is not called for a client that was closed or is idle.
	Unwatched func(Info)
}

// Info is what hooks are told. Fields that do not apply are zero.
type Info struct {
	Target    string // of the client
	Addresses int    // Resolved: how many there are
	Stale     error  // Resolved: why they may be out of date, see [membership.View]
	Err       error
}

// JoinHooks returns hooks that call each of the given ones in order. nil entries are skipped.
func JoinHooks(hooks ...*Hooks) *Hooks {
	var resolved, unwatched []func(Info)
	for _, h := range hooks {
		if h != nil && h.Resolved != nil {
			resolved = append(resolved, h.Resolved)
		}
		if h != nil && h.Unwatched != nil {
			unwatched = append(unwatched, h.Unwatched)
		}
	}
	each := func(calls []func(Info)) func(Info) {
		return func(i Info) {
			for _, call := range calls {
				call(i)
			}
		}
	}
	return &Hooks{Resolved: each(resolved), Unwatched: each(unwatched)}
}

// LogHooks returns hooks that write what goes wrong to logger, as warnings: clients that are left
// without a usable address, and clients that hear of no more changes. nil means [slog.Default] at the
// time of the event.
func LogHooks(logger *slog.Logger) *Hooks {
	warn := func(msg string) func(Info) {
		return func(i Info) {
			if i.Err == nil {
				return
			}
			to := logger
			if to == nil {
				to = slog.Default()
			}
			to.Warn(msg, "target", i.Target, "addresses", i.Addresses, "error", i.Err)
		}
	}
	return &Hooks{
		Resolved:  warn("concordgrpc: no usable address"),
		Unwatched: warn("concordgrpc: changes are not seen any more"),
	}
}
