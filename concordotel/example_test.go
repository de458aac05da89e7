package concordotel_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/concord-go/concord/backend/memorybackend"
	"github.com/concord-go/concord/breaker"
	"github.com/concord-go/concord/concordotel"
	"github.com/concord-go/concord/election"
	"github.com/concord-go/concord/lock"
	"github.com/concord-go/concord/retry"
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

// Retriers do not log by themselves; this one does, beside what is exported. The budget is read whenever
// metrics are.
func ExampleRetry() {
	ctx := context.Background()
	o := &concordotel.Options{Name: "payments"}
	observed, err := concordotel.Retry(o)
	if err != nil {
		log.Fatal(err)
	}
	payments, err := retry.New("payments", &retry.Options{
		Backoff: retry.Constant(time.Millisecond),
		Hooks:   retry.JoinHooks(observed, retry.LogHooks(nil)),
	})
	if err != nil {
		log.Fatal(err)
	}
	level, err := concordotel.RetryBudget(payments.Budget(), o)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = level.Unregister() }()

	n, err := retry.Do(ctx, payments, func(_ context.Context, a retry.Attempt) (int, error) {
		if a.Number == 1 {
			return 0, errors.New("connection reset")
		}
		return a.Number, nil
	})
	fmt.Println("attempt", n, err)
	// Output: attempt 2 <nil>
}

// The log is kept beside what is exported.
func ExampleBreaker() {
	ctx := context.Background()
	observed, err := concordotel.Breaker(&concordotel.Options{Name: "payments"})
	if err != nil {
		log.Fatal(err)
	}
	payments, err := breaker.New("payments", &breaker.Options{Hooks: breaker.JoinHooks(observed, breaker.LogHooks(nil))})
	if err != nil {
		log.Fatal(err)
	}

	receipt, err := breaker.Do(ctx, payments, func(context.Context) (string, error) { return "paid", nil })
	fmt.Println(receipt, err)
	// Output: paid <nil>
}

// The keys of this group are addresses, of which there are many. Their zones are few.
func ExampleBreakerKeys() {
	ctx := context.Background()
	zone := func(key string) string {
		zone, _, _ := strings.Cut(key, "/")
		return zone
	}
	observed, err := concordotel.BreakerKeys(zone, &concordotel.Options{Name: "stock"})
	if err != nil {
		log.Fatal(err)
	}
	hosts, err := breaker.NewGroup[string]("stock", &breaker.GroupOptions{
		Breaker: &breaker.Options{Hooks: breaker.JoinHooks(observed, breaker.LogHooks(nil))},
	})
	if err != nil {
		log.Fatal(err)
	}

	left, err := breaker.Do(ctx, hosts.Get("eu-1/10.0.0.7"), func(context.Context) (int, error) { return 12, nil })
	fmt.Println(left, err)
	// Output: 12 <nil>
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
