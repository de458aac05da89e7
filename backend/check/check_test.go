package check

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/lease"
)

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		levels       []Level
		strict       bool
		refuses, log int
	}{
		{nil, true, 0, 0},
		{[]Level{LevelOK, LevelOK}, true, 0, 0},
		{[]Level{LevelOK, LevelWarning}, false, 0, 1},
		{[]Level{LevelOK, LevelWarning}, true, 1, 0},
		{[]Level{LevelWarning, LevelError}, false, 1, 1},
		{[]Level{LevelWarning, LevelError}, true, 2, 0},
	} {
		r := Report{Backend: "enginebackend"}
		for _, l := range c.levels {
			r.Add(l, "subject", "it is %s", l)
		}
		var out strings.Builder
		err := r.Verdict(t.Context(), slog.New(slog.NewTextHandler(&out, nil)), c.strict)
		var failed *Error
		if errors.As(err, &failed) != (c.refuses > 0) || failed != nil && len(failed.Findings) != c.refuses {
			t.Errorf("%v, strict %v: %v, want %d findings", c.levels, c.strict, err, c.refuses)
		}
		if n := strings.Count(out.String(), "level=WARN"); n != c.log {
			t.Errorf("%v, strict %v: %d lines logged, want %d", c.levels, c.strict, n, c.log)
		}
	}
}

// failing fails the call that brings left down to zero.
type failing struct {
	lease.Backend
	left int
}

var errVerb = errors.New("the verb fails")

func (f *failing) next() error {
	if f.left--; f.left == 0 {
		return errVerb
	}
	return nil
}

func (f *failing) Acquire(ctx context.Context, c lease.Claim) (lease.Answer, error) {
	if err := f.next(); err != nil {
		return lease.Answer{}, err
	}
	return f.Backend.Acquire(ctx, c)
}

func (f *failing) Renew(ctx context.Context, items []lease.Renewal) []lease.Answer {
	answers := f.Backend.Renew(ctx, items)
	for i := range answers {
		answers[i].Err = errors.Join(answers[i].Err, f.next())
	}
	return answers
}

func (f *failing) Inspect(ctx context.Context, key string) (lease.State, error) {
	if err := f.next(); err != nil {
		return lease.State{}, err
	}
	return f.Backend.Inspect(ctx, key)
}

func (f *failing) Revoke(ctx context.Context, r lease.Revocation) (bool, error) {
	if err := f.next(); err != nil {
		return false, err
	}
	return f.Backend.Revoke(ctx, r)
}

func (f *failing) Release(ctx context.Context, r lease.Release) (lease.Released, error) {
	if err := f.next(); err != nil {
		return 0, err
	}
	return f.Backend.Release(ctx, r)
}

func TestLeasesReportsEachVerb(t *testing.T) {
	be, err := memorybackend.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = be.Close(context.Background()) })
	const verbs = 2 * 6 // acquire, two renewals, inspect, revoke, release; of a lock, and of another limit
	for n := 1; n <= verbs; n++ {
		if err := Leases(t.Context(), &failing{be.Leases(), n}, fmt.Sprint("k", n), time.Minute); !errors.Is(err, errVerb) {
			t.Errorf("verb %d fails: %v", n, err)
		}
	}
	if err := Leases(t.Context(), &failing{be.Leases(), verbs + 1}, "k", time.Minute); err != nil {
		t.Error(err)
	}
}
