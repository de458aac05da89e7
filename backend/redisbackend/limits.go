package redisbackend

import (
	"context"

	"github.com/concord-go/concord/ratelimit"
)

// limits is the port of package ratelimit. The server decides in a script and by its clock; what is left
// and when to come back is computed here, from the state that the script found.
type limits struct {
	b     *Backend
	lanes *lanes // nil: every call has requests of its own
}

var _ ratelimit.Backend = (*limits)(nil)

func newLimits(b *Backend) *limits {
	l := &limits{b: b}
	if b.opt.CoalesceLimits {
		l.lanes = newLanes(l)
	}
	return l
}

const (
	verbLimit = "rate limit"

	// migrations is how often a state is looked at anew when others change it while it is brought to a
	// new version. One of them succeeds each time.
	migrations = 10
)

// Capabilities implements [ratelimit.Backend].
func (l *limits) Capabilities() ratelimit.Capabilities {
	return ratelimit.Capabilities{Clock: true, Prompt: prompt(l.b.client)}
}

// Apply implements [ratelimit.Backend]. Several ops are sent in one request to each node, with those of
// other calls where calls share requests. Nothing is sent twice, unless the server has said that it did not
// execute it.
func (l *limits) Apply(ctx context.Context, ops []ratelimit.Op, out []ratelimit.Outcome) {
	if err := l.b.ready(ctx, verbLimit); err != nil {
		for i := range out {
			out[i] = ratelimit.Outcome{Err: err}
		}
		return
	}
	if len(ops) > 1 || l.lanes != nil {
		l.batch(ctx, ops, out)
		return
	}
	for i := range ops {
		out[i] = l.settle(ctx, newQuestion(l.b.names, &ops[i]))
	}
}

// settle asks until the op has been executed.
func (l *limits) settle(ctx context.Context, q *question) ratelimit.Outcome {
	for range migrations {
		reply, _, err := l.b.eval(ctx, q.script, q.args)
		if err != nil {
			return ratelimit.Outcome{Err: fail(ctx, verbLimit, err)}
		}
		d, done, err := q.answer(reply)
		if err != nil {
			return ratelimit.Outcome{Err: fail(ctx, verbLimit, err)}
		}
		if done {
			return ratelimit.Outcome{Decision: d}
		}
	}
	return ratelimit.Outcome{Err: fail(ctx, verbLimit, errUnsettled)}
}
