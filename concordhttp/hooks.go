package concordhttp

import (
	"context"
	"log/slog"
	"time"

	"github.com/concord-go/concord/fence"
)

// Hooks observe a [Fence]. Every func may be nil. They are called by several goroutines, on the path
// of the request: they must be quick.
type Hooks struct {
	// Decided reports what became of a request, before its handler runs or its refusal is written.
	Decided func(context.Context, Info)
}

// Info is what hooks are told. Fields that do not apply are zero.
type Info struct {
	Outcome  Outcome
	Resource string
	Token    fence.Token
	Mark     fence.Token   // FencedOut: what stood in the way
	Peer     string        // the other end of the connection
	Took     time.Duration // how long the decision took
	Err      error
}

// JoinHooks returns hooks that call each of the given ones in order. nil entries are skipped.
func JoinHooks(hooks ...*Hooks) *Hooks {
	var all []func(context.Context, Info)
	for _, h := range hooks {
		if h != nil && h.Decided != nil {
			all = append(all, h.Decided)
		}
	}
	return &Hooks{Decided: func(ctx context.Context, i Info) {
		for _, decided := range all {
			decided(ctx, i)
		}
	}}
}

// LogHooks returns hooks that write what goes wrong to logger, as warnings: tokens that are fenced
// out, tokens of peers that may not send them, and marks that could not be raised. Requests that are
// malformed or lack a token are the client's affair and not logged. nil means [slog.Default] at
// the time of the event.
func LogHooks(logger *slog.Logger) *Hooks {
	return &Hooks{Decided: func(ctx context.Context, i Info) {
		switch i.Outcome {
		case FencedOut, Untrusted, Unavailable:
		default:
			return
		}
		to := logger
		if to == nil {
			to = slog.Default()
		}
		to.WarnContext(ctx, "concordhttp: request refused", "outcome", string(i.Outcome),
			"resource", i.Resource, "token", i.Token, "peer", i.Peer, "error", i.Err)
	}}
}
