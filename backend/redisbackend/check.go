package redisbackend

import (
	"context"
	"time"

	"github.com/concord-go/concord/backend/check"
	"github.com/concord-go/concord/ratelimit"
)

// Check is to be called once at the start of a process. It does what [Backend.Diagnose] does,
// logs the warnings, and returns a [*check.Error] if there is an error among the findings (with
// Options.Strict, or a warning). If the server cannot be asked the error matches
// lease.ErrUnavailable.
func (b *Backend) Check(ctx context.Context) error {
	r, err := b.Diagnose(ctx)
	if err != nil {
		return err
	}
	return r.Verdict(ctx, b.opt.Logger, b.opt.Strict)
}

// Diagnose asks the server, or each primary of the cluster, and the client how they are set up,
// and tries what the backend needs. It stores the layout of the prefix if nobody has, and for a
// moment takes and releases a lock of its own on each node. The error, if a server cannot be
// asked, matches lease.ErrUnavailable.
func (b *Backend) Diagnose(ctx context.Context) (check.Report, error) {
	const verb = "check"
	r := check.Report{Backend: "redisbackend", Prefix: b.opt.Prefix}
	if err := b.ready(ctx, verb); err != nil {
		return r, err
	}
	nodes, err := b.nodes(ctx)
	if err != nil {
		return r, fail(ctx, verb, err)
	}
	for _, look := range []func(context.Context, []node, *check.Report) error{
		b.checkClock, b.checkServers, b.checkCluster, b.checkLayout, b.checkCommands, b.checkPush,
	} {
		if err := look(ctx, nodes, &r); err != nil {
			return r, fail(ctx, verb, err)
		}
		if r.Worst() == check.LevelError {
			break // what follows would fail for the same reason
		}
	}
	b.checkClient(&r)
	return r, nil
}

// barred turns an error of the server itself into a finding. Any other is returned: the server
// could not be asked.
func barred(r *check.Report, err error, level check.Level, subject, format string, args ...any) error {
	if temporary(err) {
		return err
	}
	r.Add(level, subject, format+": %v", append(args, err)...)
	return nil
}

// checkLayout compares the layout of the prefix with ours, or stores ours.
func (b *Backend) checkLayout(ctx context.Context, _ []node, r *check.Report) error {
	const subject = "layout"
	name := b.names.config()
	if _, err := b.do(ctx, "set", name, layout, "nx"); err != nil && !isNil(err) {
		return barred(r, err, check.LevelError, subject, "cannot write %s", name)
	}
	v, err := b.do(ctx, "get", name)
	if err != nil {
		return barred(r, err, check.LevelError, subject, "cannot read %s", name)
	}
	if v != layout {
		r.Add(check.LevelError, subject, "%s says %q, this version needs %q: choose another prefix", name, v, layout)
		return nil
	}
	r.Add(check.LevelOK, subject, layout)
	return nil
}

// checkCommands runs every script once on each node.
func (b *Backend) checkCommands(ctx context.Context, _ []node, r *check.Report) error {
	const subject = "commands"
	keys, err := b.rehearsals(ctx)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := check.Leases(ctx, b.leases, key, time.Second); err != nil {
			return barred(r, err, check.LevelError, subject, "a script failed")
		}
		if err := b.tryLimits(ctx, key); err != nil {
			return barred(r, err, check.LevelError, subject, "a script of rate limits failed")
		}
	}
	r.Add(check.LevelOK, subject, "all scripts run")
	return nil
}

// tryLimits runs the scripts of rate limits on a key, and leaves nothing.
func (b *Backend) tryLimits(ctx context.Context, key string) error {
	p, err := ratelimit.NewPolicy(ratelimit.Limit{Name: "check", N: 1, Per: time.Second})
	if err != nil {
		return err
	}
	for _, kind := range []ratelimit.OpKind{ratelimit.OpTake, ratelimit.OpReset} {
		out := b.limits.settle(ctx, newQuestion(b.names, &ratelimit.Op{Kind: kind, Key: key, Policy: p, N: 1}))
		if out.Err != nil {
			return out.Err
		}
	}
	return nil
}
