package etcdbackend

import (
	"context"
	"errors"
	"time"

	"github.com/concord-go/concord/backend/check"
	"github.com/concord-go/concord/lease"
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

// Diagnose asks the servers how they are and tries what the backend needs. For a moment it takes
// and releases a lock of its own. The error, if no server can be asked, matches
// lease.ErrUnavailable.
func (b *Backend) Diagnose(ctx context.Context) (check.Report, error) {
	const verb = "check"
	r := check.Report{Backend: "etcdbackend", Prefix: b.opt.Prefix}
	if err := b.ready(ctx, verb); err != nil {
		return r, err
	}
	for _, look := range []func(context.Context, *check.Report) error{
		b.checkServers, b.checkAlarms, b.checkCommands, b.checkWatch,
	} {
		if err := look(ctx, &r); err != nil {
			return r, fail(ctx, verb, err)
		}
		if r.Worst() == check.LevelError {
			break // what follows would fail for the same reason
		}
	}
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

// checkCommands uses every kind of key once, so that missing permissions are found.
func (b *Backend) checkCommands(ctx context.Context, r *check.Report) error {
	const subject = "commands"
	sent := time.Now()
	if err := b.rehearse(ctx); err != nil {
		return barred(r, err, check.LevelError, subject, "a request failed")
	}
	r.Add(check.LevelOK, subject, "all requests are served, a lock was taken and released in %v", time.Since(sent).Round(time.Microsecond))
	return nil
}

func (b *Backend) rehearse(ctx context.Context) error {
	name := "check/" + string(lease.NewAttempt())
	_, err := b.marks.Mark(ctx, name)
	return errors.Join(err, check.Leases(ctx, b.leases, name, minTTL))
}
