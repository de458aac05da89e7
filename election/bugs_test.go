package election_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/election"
	"github.com/concord-go/concord/internal/evidence"
)

func TestEveryBugIsAnswered(t *testing.T) {
	if err := evidence.Table("..", "testdata/bugs.md", 3, "cannot happen"); err != nil {
		t.Error(err)
	}
}

// A candidate that never led is not told of an end.
func TestWhoNeverLedDoesNotStop(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
		campaign(t, join(id("a"), nil))
		end := func(i election.Info) { t.Errorf("told of an end: %+v", i) }
		b := join(id("b"), &election.Options{Hooks: &election.Hooks{Elected: end, Ended: end, Drained: end}})
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		err := b.Run(ctx, func(context.Context, election.Term) error {
			t.Error("it leads")
			return nil
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
