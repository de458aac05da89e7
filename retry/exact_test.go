//go:build !race

package retry_test

import (
	"context"
	"testing"

	"github.com/concord-go/concord/retry"
)

// TestExactAllocations pins that a call whose first attempt succeeds costs no memory, also if its end is told.
func TestExactAllocations(t *testing.T) {
	told := &retry.Hooks{Ended: func(context.Context, retry.Info) {}}
	for name, o := range map[string]*retry.Options{"without hooks": nil, "told": {Hooks: told}} {
		r := newRetrier(t, o)
		ctx := t.Context()
		calls := func() {
			for range 10_000 { // some of which are timed
				if _, err := retry.Do(ctx, r, answer); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n := testing.AllocsPerRun(10, calls); n != 0 {
			t.Errorf("%s: %v allocations for 10 000 calls, want none", name, n)
		}
	}
}
