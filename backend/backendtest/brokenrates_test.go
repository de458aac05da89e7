package backendtest_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/concord-go/concord/ratelimit"
)

// brokenRates are rate limits with one promise broken, each with a case that must notice.
var brokenRates = map[string]struct {
	noticed string
	make    func(ratelimit.Backend) ratelimit.Backend
}{
	"one unit is withheld": {"a first call is allowed", answers(func(_ *ratelimit.Op, d *ratelimit.Decision) { d.Remaining-- })},
	"refusals count": {"a full limit refuses and says what is left", func(be ratelimit.Backend) ratelimit.Backend {
		return oneByOne(be, func(op ratelimit.Op, apply func(ratelimit.Op) ratelimit.Outcome) ratelimit.Outcome {
			out := apply(op)
			if op.Kind == ratelimit.OpTake && out.Err == nil && !out.Decision.Allowed {
				op.Kind = ratelimit.OpCharge
				apply(op)
			}
			return out
		})
	}},
	"only the first limit counts": {"several limits count all or none", limited(func(l []ratelimit.Limit) []ratelimit.Limit { return l[:1] })},
	"shadow limits refuse": {"a shadow limit refuses nothing", limited(func(l []ratelimit.Limit) []ratelimit.Limit {
		for i := range l {
			l[i].Shadow = false
		}
		return l
	})},
	"peek counts":       {"peek counts nothing", kinds(map[ratelimit.OpKind]ratelimit.OpKind{ratelimit.OpPeek: ratelimit.OpTake})},
	"give does nothing": {"give takes back as far as there is", kinds(map[ratelimit.OpKind]ratelimit.OpKind{ratelimit.OpGive: ratelimit.OpPeek})},
	"a charge must fit": {"charge counts what does not fit", kinds(map[ratelimit.OpKind]ratelimit.OpKind{ratelimit.OpCharge: ratelimit.OpTake})},
	"reset does nothing": {"reset forgets", asks(func(op *ratelimit.Op) {
		if op.Kind == ratelimit.OpReset {
			op.Kind, op.N = ratelimit.OpPeek, 1
		}
	})},
	"nobody can wait":     {"reservations wait in order", asks(func(op *ratelimit.Op) { op.MaxWait = 0 })},
	"all can wait":        {"windows cannot be reserved", answers(func(op *ratelimit.Op, d *ratelimit.Decision) { d.Allowed = d.Allowed || op.MaxWait > 0 })},
	"braces mean nothing": {"keys with any bytes are independent", asks(func(op *ratelimit.Op) { op.Key = strings.Trim(op.Key, "{}") + "k" })},
	"keys are cut":        {"keys with any bytes are independent", asks(func(op *ratelimit.Op) { op.Key = op.Key[:min(511, len(op.Key))] })},
	"a batch is executed backwards": {"a batch is answered op by op", func(be ratelimit.Backend) ratelimit.Backend {
		return changedRates{be, func(ctx context.Context, ops []ratelimit.Op, out []ratelimit.Outcome) {
			ops = slices.Clone(ops)
			slices.Reverse(ops)
			be.Apply(ctx, ops, out)
			slices.Reverse(out)
		}}
	}},
	"a batch has at most 100 ops": {"a batch of any size", func(be ratelimit.Backend) ratelimit.Backend {
		return changedRates{be, func(ctx context.Context, ops []ratelimit.Op, out []ratelimit.Outcome) {
			be.Apply(ctx, ops[:min(100, len(ops))], out[:min(100, len(ops))])
		}}
	}},
	"asked, then counted": {"concurrent calls are let through to the last unit", func(be ratelimit.Backend) ratelimit.Backend {
		return oneByOne(be, func(op ratelimit.Op, apply func(ratelimit.Op) ratelimit.Outcome) ratelimit.Outcome {
			if op.Kind != ratelimit.OpTake {
				return apply(op)
			}
			op.Kind = ratelimit.OpPeek
			if out := apply(op); !out.Decision.Allowed {
				return out
			}
			time.Sleep(time.Millisecond)
			op.Kind = ratelimit.OpCharge
			return apply(op)
		})
	}},
	"now and then a batch is sent twice": {"concurrent batches count each op once", func(be ratelimit.Backend) ratelimit.Backend {
		var n atomic.Int64
		return changedRates{be, func(ctx context.Context, ops []ratelimit.Op, out []ratelimit.Outcome) {
			if len(ops) > 1 && n.Add(1)%16 == 0 {
				be.Apply(ctx, ops, out)
			}
			be.Apply(ctx, ops, out)
		}}
	}},
	"a change of policy is not noticed": {"a change of policy migrates what was counted", limited(func(l []ratelimit.Limit) []ratelimit.Limit { return l })},
	"each version counts by itself":     {"a change is made once", asks(func(op *ratelimit.Op) { op.Key += string(rune('0' + op.Policy.Version())) })},
	"all algorithms are one": {"a policy of another shape begins anew", limited(func(l []ratelimit.Limit) []ratelimit.Limit {
		for i := range l {
			l[i].Algorithm, l[i].Burst = ratelimit.FixedWindow, 0
		}
		return l
	})},
	"ctx means nothing": {"an ended ctx ends the call", func(be ratelimit.Backend) ratelimit.Backend {
		return changedRates{be, func(ctx context.Context, ops []ratelimit.Op, out []ratelimit.Outcome) {
			be.Apply(context.WithoutCancel(ctx), ops, out)
		}}
	}},
	"refills too fast": {"nothing is let through beyond the bound", limited(func(l []ratelimit.Limit) []ratelimit.Limit {
		l[0].N *= 4
		return l
	})},
	"refills too slowly": {"a caller that always asks gets the rate", limited(func(l []ratelimit.Limit) []ratelimit.Limit {
		l[0].N /= 2
		return l
	})},
	"RetryAfter is too short": {"who waits for RetryAfter is let through, and not earlier", answers(func(_ *ratelimit.Op, d *ratelimit.Decision) { d.RetryAfter /= 4 })},
	"now and then a call is lost": {"agrees with the policy", func(be ratelimit.Backend) ratelimit.Backend {
		var n atomic.Int64
		return asks(func(op *ratelimit.Op) {
			if op.Kind == ratelimit.OpTake && n.Add(1)%20 == 0 {
				op.Kind = ratelimit.OpPeek
			}
		})(be)
	}},
}

// changedRates is a backend with another Apply.
type changedRates struct {
	ratelimit.Backend
	apply func(ctx context.Context, ops []ratelimit.Op, out []ratelimit.Outcome)
}

func (r changedRates) Apply(ctx context.Context, ops []ratelimit.Op, out []ratelimit.Outcome) {
	r.apply(ctx, ops, out)
}

// asks changes every op.
func asks(f func(*ratelimit.Op)) func(ratelimit.Backend) ratelimit.Backend {
	return func(be ratelimit.Backend) ratelimit.Backend {
		return changedRates{be, func(ctx context.Context, ops []ratelimit.Op, out []ratelimit.Outcome) {
			ops = slices.Clone(ops)
			for i := range ops {
				f(&ops[i])
			}
			be.Apply(ctx, ops, out)
		}}
	}
}

// kinds takes ops for others.
func kinds(as map[ratelimit.OpKind]ratelimit.OpKind) func(ratelimit.Backend) ratelimit.Backend {
	return asks(func(op *ratelimit.Op) {
		if kind, ok := as[op.Kind]; ok {
			op.Kind = kind
		}
	})
}

// limited changes the limits of every policy, and takes it for the first version.
func limited(f func([]ratelimit.Limit) []ratelimit.Limit) func(ratelimit.Backend) ratelimit.Backend {
	return asks(func(op *ratelimit.Op) {
		if p, err := ratelimit.NewPolicy(f(op.Policy.Limits())...); err == nil {
			op.Policy = p
		}
	})
}

// answers changes every answer.
func answers(f func(*ratelimit.Op, *ratelimit.Decision)) func(ratelimit.Backend) ratelimit.Backend {
	return func(be ratelimit.Backend) ratelimit.Backend {
		return changedRates{be, func(ctx context.Context, ops []ratelimit.Op, out []ratelimit.Outcome) {
			be.Apply(ctx, ops, out)
			for i := range ops {
				f(&ops[i], &out[i].Decision)
			}
		}}
	}
}

// oneByOne handles each op by itself.
func oneByOne(be ratelimit.Backend, f func(ratelimit.Op, func(ratelimit.Op) ratelimit.Outcome) ratelimit.Outcome) ratelimit.Backend {
	return changedRates{be, func(ctx context.Context, ops []ratelimit.Op, out []ratelimit.Outcome) {
		for i, op := range ops {
			out[i] = f(op, func(op ratelimit.Op) ratelimit.Outcome {
				var one [1]ratelimit.Outcome
				be.Apply(ctx, []ratelimit.Op{op}, one[:])
				return one[0]
			})
		}
	}}
}
