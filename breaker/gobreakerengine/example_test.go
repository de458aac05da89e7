package gobreakerengine_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/sony/gobreaker/v2"

	"github.com/concord-go/concord/breaker"
	"github.com/concord-go/concord/breaker/gobreakerengine"
)

func Example() {
	br, err := breaker.New("payments", &breaker.Options{
		Engine: gobreakerengine.New(gobreaker.Settings{
			ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= 2 },
		}, nil),
		Hooks: &breaker.Hooks{},
	})
	if err != nil {
		log.Fatal(err)
	}
	for range 3 {
		_, err := breaker.Do(context.Background(), br, func(context.Context) (int, error) {
			return 0, errors.New("connection refused")
		})
		fmt.Println(errors.Is(err, breaker.ErrRejected))
	}
	// Output:
	// false
	// false
	// true
}
