package election_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/election"
	"github.com/concord-go/concord/internal/evidence"
)

func TestEveryBugIsAnswered(t *testing.T) {
	all, err := evidence.Rows(filepath.Join("testdata", "bugs.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, cells := range all {
		if len(cells) != 3 {
			t.Errorf("row %q", cells)
			continue
		}
		named, err := evidence.Check("..", cells[2])
		if err != nil {
			t.Errorf("%s: %s: %v", cells[0], cells[1], err)
		} else if named == 0 && !strings.Contains(cells[2], "cannot happen") {
			t.Errorf("%s: %s: neither a test nor a reason", cells[0], cells[1])
		}
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
