package election_test

import (
	"context"
	"errors"
	"testing"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/election"
)

// What docs/migration.md shows as the new code.

func afterConcurrency(ctx context.Context, el *election.Election, lead func(context.Context, election.Term) error) error {
	return el.Run(ctx, func(ctx context.Context, term election.Term) error {
		return lead(ctx, term)
	})
}

func TestMigratedCode(t *testing.T) {
	bubble(t, func(t *testing.T, _ *memorybackend.Backend, join func(election.Candidate, *election.Options) *election.Election) {
		var last election.Term
		lead := func(ctx context.Context, term election.Term) error {
			if term <= last {
				t.Errorf("term %v after %v", term, last)
			}
			last = term
			return ctx.Err()
		}
		a, b := join(id("pod-1"), nil), join(id("pod-2"), nil)
		if err := errors.Join(afterConcurrency(t.Context(), a, lead), afterConcurrency(t.Context(), b, lead)); err != nil || last == 0 {
			t.Errorf("last term %v, %v", last, err)
		}
	})
}
