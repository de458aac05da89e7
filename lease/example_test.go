package lease_test

import (
	"context"
	"fmt"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/lease"
)

// The port by itself: one claim holds, the next waits, and a release hands on.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	be, _ := memorybackend.New(nil)
	defer be.Close(ctx)
	leases := be.Leases()

	claim := func(owner string) lease.Claim {
		return lease.Claim{Key: "k", Attempt: lease.NewAttempt(), TTL: time.Minute, Weight: 1, Limit: 1, Queue: true, Owner: owner}
	}
	first, second := claim("first"), claim("second")
	for _, c := range []lease.Claim{first, second} {
		a, err := leases.Acquire(ctx, c)
		fmt.Println(c.Owner, a.Status, err)
	}
	_, _ = leases.Release(ctx, lease.Release{Key: "k", Attempt: first.Attempt})
	state, err := leases.Inspect(ctx, "k")
	fmt.Println(state.Holders[0].Owner, "holds", err)
	// Output:
	// first granted <nil>
	// second queued <nil>
	// second holds <nil>
}
