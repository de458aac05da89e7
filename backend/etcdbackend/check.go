package etcdbackend

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/concord-go/concord/lease"
)

// Level says how bad a [Finding] is.
type Level uint8

// The levels, from good to bad.
const (
	LevelOK      Level = iota // as it should be
	LevelWarning              // works, with less than the package promises
	LevelError                // does not work
)

// String returns the name of the level in lower case.
func (l Level) String() string {
	switch l {
	case LevelOK:
		return "ok"
	case LevelWarning:
		return "warning"
	}
	return "error"
}

// Finding is one thing that [Backend.Diagnose] looked at.
type Finding struct {
	Level   Level
	Subject string // a word or two, such as "eviction"
	Text    string // what was found, and what to do about it
}

// Report is what [Backend.Diagnose] found, in a fixed order.
type Report struct {
	Prefix   string    // of the backend
	Findings []Finding // at least one for each subject that could be looked at
}

// String returns the report as one block of lines for people to read.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "etcdbackend: prefix %q\n", r.Prefix)
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "  %-8s %-12s %s\n", f.Level, f.Subject, f.Text)
	}
	return b.String()
}

func (r *Report) add(level Level, subject, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{level, subject, fmt.Sprintf(format, args...)})
}

// broken reports an error among the findings.
func (r *Report) broken() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Level == LevelError })
}

// CheckError is the failure of a [Backend.Check]: what it found that must be changed.
type CheckError struct {
	Findings []Finding // at least one
}

// Error lists the findings.
func (e *CheckError) Error() string {
	var b strings.Builder
	b.WriteString("etcdbackend: check: ")
	for i, f := range e.Findings {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(f.Subject + ": " + f.Text)
	}
	return b.String()
}

// Check is to be called once at the start of a process. It does what [Backend.Diagnose] does,
// logs the warnings, and returns a [*CheckError] if there is an error among the findings (with
// Options.Strict, or a warning). If the server cannot be asked the error matches
// lease.ErrUnavailable.
func (b *Backend) Check(ctx context.Context) error {
	r, err := b.Diagnose(ctx)
	if err != nil {
		return err
	}
	var bad []Finding
	for _, f := range r.Findings {
		switch {
		case f.Level == LevelError || f.Level == LevelWarning && b.opt.Strict:
			bad = append(bad, f)
		case f.Level == LevelWarning:
			b.opt.Logger.WarnContext(ctx, "etcdbackend: check: "+f.Text, "subject", f.Subject)
		}
	}
	if len(bad) > 0 {
		return &CheckError{bad}
	}
	return nil
}

// Diagnose asks the servers how they are and tries what the backend needs. For a moment it takes
// and releases a lock of its own. The error, if no server can be asked, matches
// lease.ErrUnavailable.
func (b *Backend) Diagnose(ctx context.Context) (Report, error) {
	const verb = "check"
	r := Report{Prefix: b.opt.Prefix}
	if err := b.ready(ctx, verb); err != nil {
		return r, err
	}
	for _, look := range []func(context.Context, *Report) error{
		b.checkServers, b.checkAlarms, b.checkCommands, b.checkWatch,
	} {
		if err := look(ctx, &r); err != nil {
			return r, fail(ctx, verb, err)
		}
		if r.broken() {
			break // what follows would fail for the same reason
		}
	}
	return r, nil
}

// barred turns an error of the server itself into a finding. Any other is returned: the server
// could not be asked.
func (r *Report) barred(err error, level Level, subject, format string, args ...any) error {
	if temporary(err) {
		return err
	}
	r.add(level, subject, format+": %v", append(args, err)...)
	return nil
}

// checkCommands uses every kind of key once, so that missing permissions are found.
func (b *Backend) checkCommands(ctx context.Context, r *Report) error {
	const subject = "commands"
	sent := time.Now()
	if err := b.rehearse(ctx); err != nil {
		return r.barred(err, LevelError, subject, "a request failed")
	}
	r.add(LevelOK, subject, "all requests are served, a lock was taken and released in %v", time.Since(sent).Round(time.Microsecond))
	return nil
}

// rehearse takes and releases a lock on a key that nobody else uses.
func (b *Backend) rehearse(ctx context.Context) error {
	c := lease.Claim{Key: "check/" + string(lease.NewAttempt()), Attempt: lease.NewAttempt(),
		TTL: minTTL, Queue: true, Weight: 1, Limit: 1}
	a, err := b.leases.Acquire(ctx, c)
	if err != nil {
		return err
	}
	items := []lease.Renewal{
		{Key: c.Key, Attempt: c.Attempt, TTL: c.TTL},
		{Key: c.Key, Attempt: c.Attempt, TTL: c.TTL, Waiting: true},
	}
	for _, a := range b.leases.Renew(ctx, items) {
		if a.Err != nil {
			return a.Err
		}
	}
	if _, err := b.leases.Inspect(ctx, c.Key); err != nil {
		return err
	}
	if _, err := b.leases.Revoke(ctx, lease.Revocation{Key: c.Key, Token: a.Token}); err != nil {
		return err
	}
	_, err = b.leases.Release(ctx, lease.Release{Key: c.Key, Attempt: c.Attempt, Uncertain: true})
	if err != nil {
		return err
	}
	_, err = b.marks.Mark(ctx, c.Key)
	return err
}
