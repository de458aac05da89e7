package concordotel_test

import (
	"context"
	"fmt"
	"log"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/concordotel"
	"github.com/concord-go/concord/election"
	"github.com/concord-go/concord/lock"
)

// Without options the global providers of OpenTelemetry are used; until the program sets them,
// nothing is exported. The log is kept beside it.
func ExampleLock() {
	ctx := context.Background()
	observed, err := concordotel.Lock(nil)
	if err != nil {
		log.Fatal(err)
	}
	be, _ := memorybackend.New(nil)
	defer be.Close(ctx)
	locks, err := lock.New(be.Leases(), &lock.Options{Hooks: lock.JoinHooks(observed, lock.LogHooks(nil))})
	if err != nil {
		log.Fatal(err)
	}
	defer locks.Close(ctx)

	err = locks.Do(ctx, "orders/42", func(context.Context, *lock.Lease) error {
		fmt.Println("working")
		return nil
	})
	fmt.Println(err)
	// Output:
	// working
	// <nil>
}

// A name tells this election from others; the name of the election itself is not exported.
func ExampleElection() {
	ctx := context.Background()
	observed, err := concordotel.Election(&concordotel.Options{Name: "billing"})
	if err != nil {
		log.Fatal(err)
	}
	be, _ := memorybackend.New(nil)
	defer be.Close(ctx)
	el, err := election.New(be.Leases(), "billing/eu", election.Candidate{ID: "pod-7"}, &election.Options{Hooks: observed})
	if err != nil {
		log.Fatal(err)
	}
	defer el.Close(ctx)

	err = el.Run(ctx, func(context.Context, election.Term) error {
		fmt.Println("leading")
		return nil
	})
	fmt.Println(err)
	// Output:
	// leading
	// <nil>
}

// The refusals of marks and of guarded writes are one number.
func ExampleFenced() {
	ctx := context.Background()
	fenced, err := concordotel.Fenced(nil)
	if err != nil {
		log.Fatal(err)
	}
	be, _ := memorybackend.New(nil)
	defer be.Close(ctx)
	guard := be.Guard()

	_ = guard.Raise(ctx, "ledger", 34) // the new holder
	err = fenced(ctx, guard.Do(ctx, "ledger", 33, func() error { panic("never runs") }))
	fmt.Println(err)
	// Output: "ledger": token 33 is fenced out by 34
}
