package faultnet

import (
	"fmt"
	"strings"
	"testing"
)

// log is a test that Seed talks to.
type log struct {
	lines []string
	fatal bool
}

func (l *log) Helper() {}

func (l *log) Logf(format string, args ...any) {
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *log) Fatalf(format string, args ...any) {
	l.Logf(format, args...)
	l.fatal = true
}

func TestSeed(t *testing.T) {
	t.Setenv(seedEnv, "")
	var l log
	a, b := Seed(&l), Seed(&l)
	if a == b {
		t.Errorf("%d twice", a)
	}
	if want := fmt.Sprint(seedEnv, "=", b); l.fatal || l.lines[1] != want {
		t.Errorf("logs %q, want %q", l.lines, want)
	}
	t.Setenv(seedEnv, fmt.Sprint(a))
	if got := Seed(&l); got != a {
		t.Errorf("%d, want %d", got, a)
	}
	t.Setenv(seedEnv, "seven")
	Seed(&l)
	if !l.fatal || !strings.Contains(l.lines[3], seedEnv) {
		t.Errorf("a seed that is no number: %q", l.lines)
	}
}
