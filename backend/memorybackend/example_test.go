package memorybackend_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/fence"
	"github.com/concord-go/concord/lease"
)

// A guard keeps out a holder that does not know that it has lost its lock.
func ExampleGuard_Do() {
	be, err := memorybackend.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	guard := be.Guard()
	const paused, successor fence.Token = 33, 34

	balance := 100
	err = guard.Do(ctx, "account/7", successor, func() error {
		balance -= 30
		return nil
	})
	fmt.Println(balance, err)

	err = guard.Do(ctx, "account/7", paused, func() error {
		balance = 90
		return nil
	})
	fmt.Println(balance, err)
	fmt.Println(errors.Is(err, fence.ErrFenced))
	// Output:
	// 70 <nil>
	// 70 "account/7": token 33 is fenced out by 34
	// true
}

// A test makes a lease run out without waiting for it.
func ExampleControl_ExpireNow() {
	be, err := memorybackend.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	leases := be.Leases()

	claim := lease.Claim{Key: "report", Attempt: lease.NewAttempt(), TTL: time.Minute, Weight: 1, Limit: 1}
	a, err := leases.Acquire(ctx, claim)
	fmt.Println(a.Status, err)

	be.Control().ExpireNow("report")

	renewals := []lease.Renewal{{Key: claim.Key, Attempt: claim.Attempt, TTL: claim.TTL}}
	fmt.Println(leases.Renew(ctx, renewals)[0].Status)
	// Output:
	// granted <nil>
	// unknown
}

// A test of an engine that does not answer.
func ExampleControl_FailNext() {
	be, err := memorybackend.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()

	be.Control().FailNext(1, nil)
	_, err = be.Leases().Inspect(ctx, "report")
	fmt.Println(err)
	_, err = be.Leases().Inspect(ctx, "report")
	fmt.Println(err)
	// Output:
	// engine unavailable
	// <nil>
}
