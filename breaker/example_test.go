package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/concord-go/concord/breaker"
)

var errDown = errors.New("connection refused")

// charge stands for a call over the network.
func charge(context.Context) (string, error) { return "", errDown }

func Example() {
	ctx := context.Background()
	br, err := breaker.New("payments", &breaker.Options{
		MinCalls: 3,
		Hooks:    &breaker.Hooks{}, // silent; without it, the opening is logged
	})
	if err != nil {
		log.Fatal(err)
	}
	for range 4 {
		_, err := breaker.Do(ctx, br, charge)
		var rejected *breaker.RejectedError
		if errors.As(err, &rejected) {
			fmt.Println("not called:", rejected.Reason, rejected.RetryAfter() > 3*time.Second)
			continue
		}
		fmt.Println(err)
	}
	// Output:
	// connection refused
	// connection refused
	// connection refused
	// not called: too many failures true
}

// An answer that says the caller was wrong is a sign of health, and one that says nothing is not counted.
func ExampleOptions_classify() {
	errNotFound, errBusy := errors.New("not found"), errors.New("busy")
	br, _ := breaker.New("catalogue", &breaker.Options{
		Classify: func(err error) breaker.Outcome {
			switch {
			case err == nil, errors.Is(err, errNotFound):
				return breaker.Success
			case errors.Is(err, errBusy):
				return breaker.Ignored
			default:
				return breaker.Failure
			}
		},
	})
	for _, err := range []error{nil, errNotFound, errBusy, errDown} {
		_, _ = breaker.Do(context.Background(), br, func(context.Context) (int, error) { return 0, err })
	}
	fmt.Printf("%+v\n", br.Counts())
	// Output: {Calls:3 Failed:1 Slow:0}
}

// A call that ends elsewhere than it begins holds a Permit.
func ExampleBreaker_Acquire() {
	br, _ := breaker.New("events", nil)
	permit, err := br.Acquire(context.Background())
	if err != nil {
		return // rejected: try again later
	}
	answers := make(chan error, 1)
	answers <- nil // from a connection that many calls share
	permit.Done(<-answers)
	fmt.Println(br.Counts().Calls)
	// Output: 1
}

// Each host has a breaker of its own.
func ExampleGroup() {
	ctx := context.Background()
	hosts, err := breaker.NewGroup[string]("search", &breaker.GroupOptions{
		Breaker: &breaker.Options{MinCalls: 1, Hooks: &breaker.Hooks{}},
	})
	if err != nil {
		log.Fatal(err)
	}
	_, _ = breaker.Do(ctx, hosts.Get("10.0.0.1"), charge)
	fmt.Println(hosts.Get("10.0.0.1").State(), hosts.Get("10.0.0.2").State())
	// Output: open closed
}
