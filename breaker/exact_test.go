//go:build !race

package breaker_test

import (
	"testing"

	"github.com/concord-go/concord/breaker"
)

// TestExactAllocations pins what a call costs in memory.
func TestExactAllocations(t *testing.T) {
	for i, c := range costs {
		b := ready(t, i)
		ctx := t.Context()
		n := testing.AllocsPerRun(1000, func() { _, _ = breaker.Do(ctx, b, nothing) })
		if n > c.allocs {
			t.Errorf("%s: %v allocations, want at most %v", c.name, n, c.allocs)
		}
	}
	g, err := breaker.NewGroup[string]("g", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	n := testing.AllocsPerRun(1000, func() {
		p, err := g.Get("k").Acquire(ctx)
		if err != nil {
			t.Fatal(err)
		}
		p.Done(nil)
	})
	if n != 0 {
		t.Errorf("group: %v allocations", n)
	}
}
