package ratelimit_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/ratelimit"
)

// Two calls a second and three a day, for each client.
func Example() {
	ctx := context.Background()
	be, err := memorybackend.New(nil) // or redisbackend.New(client, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer be.Close(ctx)
	policy, err := ratelimit.NewPolicy(
		ratelimit.Limit{Name: "burst", N: 2, Per: time.Second},
		ratelimit.Limit{Name: "day", N: 3, Per: 24 * time.Hour, Algorithm: ratelimit.StrictWindow})
	if err != nil {
		log.Fatal(err)
	}
	limits, err := ratelimit.New(be.Limits(), policy, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer limits.Close(ctx)

	for range 3 {
		d, err := limits.Allow(ctx, "client-7")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(d.Allowed, d.Limit, d.Remaining)
	}
	d, err := limits.Allow(ctx, "client-8")
	fmt.Println(d.Allowed, err)
	// Output:
	// true burst 1
	// true burst 0
	// false burst 0
	// true <nil>
}

// The cost of a call is known only when it is over.
func ExampleReservation_Settle() {
	ctx := context.Background()
	be, _ := memorybackend.New(nil)
	defer be.Close(ctx)
	policy, err := ratelimit.NewPolicy(ratelimit.Limit{Name: "tokens", N: 1000, Per: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	limits, err := ratelimit.New(be.Limits(), policy, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer limits.Close(ctx)

	r, err := limits.Reserve(ctx, "tenant", 500, 0) // an estimate
	if err != nil || !r.Decision.Allowed {
		log.Fatal(err)
	}
	fmt.Println(r.Decision.Remaining)
	if err := r.Settle(ctx, 120); err != nil {
		log.Fatal(err)
	}
	d, err := limits.Peek(ctx, "tenant", 1)
	fmt.Println(d.Remaining, err)
	// Output:
	// 500
	// 880 <nil>
}
