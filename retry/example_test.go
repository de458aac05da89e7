package retry_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/concord-go/concord/retry"
)

func Example() {
	ctx := context.Background()
	payments, err := retry.New("payments", &retry.Options{Backoff: retry.FullJitter(time.Millisecond, time.Second)})
	if err != nil {
		log.Fatal(err)
	}
	receipt, err := retry.Do(ctx, payments, func(_ context.Context, a retry.Attempt) (string, error) {
		if a.Number == 1 {
			return "", errors.New("connection reset")
		}
		return fmt.Sprintf("paid in attempt %d", a.Number), nil // send a.Key() along
	})
	fmt.Println(receipt, err)
	// Output: paid in attempt 2 <nil>
}

func ExamplePermanent() {
	ctx := context.Background()
	users, err := retry.New("users", nil)
	if err != nil {
		log.Fatal(err)
	}
	_, err = retry.Do(ctx, users, func(context.Context, retry.Attempt) (string, error) {
		return "", retry.Permanent(errors.New("no such user"))
	})
	fmt.Println(err)
	// Output: retry: "users": permanent failure after 1 attempt: no such user
}

func ExampleHedge() {
	ctx := context.Background()
	reads, err := retry.New("catalogue", &retry.Options{HedgeQuantile: 0.9})
	if err != nil {
		log.Fatal(err)
	}
	defer reads.Close(ctx) // waits for attempts that were overtaken
	product, err := retry.Hedge(ctx, reads, func(context.Context, retry.Attempt) (string, error) {
		return "a book", nil // a read: it may run twice at the same time
	})
	fmt.Println(product, err)
	// Output: a book <nil>
}

func ExampleNewBudget() {
	// Reads and writes go to one server, so they share what may be added to its load.
	budget, err := retry.NewBudget("catalogue", &retry.BudgetOptions{Ratio: 0.2})
	if err != nil {
		log.Fatal(err)
	}
	_, err = retry.New("catalogue reads", &retry.Options{Budget: budget})
	if err != nil {
		log.Fatal(err)
	}
	_, err = retry.New("catalogue writes", &retry.Options{Budget: budget, OnlyUnsent: true})
	fmt.Println(budget.Level(), err)
	// Output: 10 <nil>
}
