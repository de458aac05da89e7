//go:build !race

package retry_test

import (
	"testing"

	"github.com/concord-go/concord/retry"
)

// TestExactAllocations pins that a call whose first attempt succeeds costs no memory.
func TestExactAllocations(t *testing.T) {
	r := newRetrier(t, nil)
	ctx := t.Context()
	calls := func() {
		for range 10_000 { // some of which are timed
			if _, err := retry.Do(ctx, r, answer); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := testing.AllocsPerRun(10, calls); n != 0 {
		t.Errorf("%v allocations for 10 000 calls, want none", n)
	}
}
