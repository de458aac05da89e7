package check

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// Level says how bad a [Finding] is.
type Level uint8

// The levels, from good to bad.
const (
	LevelOK      Level = iota // as it should be
	LevelWarning              // works, with less than the backend promises
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

// Finding is one thing that was looked at.
type Finding struct {
	Level   Level
	Subject string // a word or two, such as "eviction"
	Text    string // what was found, and what to do about it
}

// Report is what a backend found, in a fixed order. The zero value is an empty report. It is a
// plain value: whoever changes it must be alone with it.
type Report struct {
	Backend  string    // the package, such as "redisbackend"
	Prefix   string    // of the keys
	Findings []Finding // at least one for each subject that could be looked at
}

// String returns the report as one block of lines for people to read.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: prefix %q\n", r.Backend, r.Prefix)
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "  %-8s %-12s %s\n", f.Level, f.Subject, f.Text)
	}
	return b.String()
}

// Add appends a finding.
func (r *Report) Add(level Level, subject, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{level, subject, fmt.Sprintf(format, args...)})
}

// Worst returns the highest level among the findings, [LevelOK] if there are none.
func (r Report) Worst() Level {
	worst := LevelOK
	for _, f := range r.Findings {
		worst = max(worst, f.Level)
	}
	return worst
}

// Verdict returns an [*Error] if there is an error among the findings, or with strict a warning.
// Warnings that are not part of it are logged.
func (r Report) Verdict(ctx context.Context, log *slog.Logger, strict bool) error {
	least := LevelError
	if strict {
		least = LevelWarning
	}
	for _, f := range r.Findings {
		if f.Level == LevelWarning && f.Level < least {
			log.WarnContext(ctx, r.Backend+": check: "+f.Text, "subject", f.Subject)
		}
	}
	bad := slices.DeleteFunc(slices.Clone(r.Findings), func(f Finding) bool { return f.Level < least })
	if len(bad) == 0 {
		return nil
	}
	return &Error{Backend: r.Backend, Findings: bad}
}

// Error is the failure of a check: what was found that must be changed.
type Error struct {
	Backend  string    // the package, such as "redisbackend"
	Findings []Finding // at least one
}

// Error lists the findings.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Backend + ": check: ")
	for i, f := range e.Findings {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(f.Subject + ": " + f.Text)
	}
	return b.String()
}
