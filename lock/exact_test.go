//go:build !race

package lock_test

import "testing"

// TestExactAllocations pins what a lock costs in memory, engine included.
func TestExactAllocations(t *testing.T) {
	_, locks := newLocker(t, nil)
	ctx := t.Context()
	pair := func() {
		l, err := locks.Acquire(ctx, "k")
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Release(ctx); err != nil {
			t.Fatal(err)
		}
	}
	pair()
	const limit = 38
	if n := testing.AllocsPerRun(1000, pair); n > limit {
		t.Errorf("%v allocations for acquire and release, want at most %d", n, limit)
	}
}
