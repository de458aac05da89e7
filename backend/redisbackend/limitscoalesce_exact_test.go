//go:build !race

package redisbackend

import (
	"context"
	"testing"

	"github.com/concord-go/concord/ratelimit"
)

// TestExactAllocationsOfALoneCall: a caller alone does not pay for the option.
func TestExactAllocationsOfALoneCall(t *testing.T) {
	client := connect(t, address(t))
	p := hourly(t, ratelimit.TokenBucket, 1_000_000)
	allocations := func(o *Options) float64 {
		be := open(t, client, o)
		var ops [1]ratelimit.Op
		var out [1]ratelimit.Outcome
		ops[0] = take(p, "k", 1)
		return testing.AllocsPerRun(200, func() {
			be.Limits().Apply(context.Background(), ops[:], out[:])
			if out[0].Err != nil {
				t.Fatal(out[0].Err)
			}
		})
	}
	if own, shared := allocations(nil), allocations(sharing); shared != own {
		t.Errorf("%v allocations, without the option %v", shared, own)
	}
}
