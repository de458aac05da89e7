//go:build !race

package oteltest

import (
	"testing"

	"github.com/concord-go/concord/breaker"
	"github.com/concord-go/concord/concordotel"
	"github.com/concord-go/concord/retry"
)

// TestExactAllocations pins that what happens with every call costs no memory, with the SDK behind it.
func TestExactAllocations(t *testing.T) {
	e := newExporter()
	retries, err := concordotel.Retry(e.options())
	if err != nil {
		t.Fatal(err)
	}
	breakers, err := concordotel.Breaker(e.options())
	if err != nil {
		t.Fatal(err)
	}
	keyed, err := concordotel.BreakerKeys(func(key string) string { return key }, e.options())
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for name, event := range map[string]func(){
		"retry, end of a call":    func() { retries.Ended(ctx, retry.Info{Attempt: 1}) },
		"breaker, end of a call":  func() { breakers.Ended(ctx, breaker.Info{}) },
		"breaker, rejection":      func() { breakers.Rejected(ctx, breaker.Info{Reason: breaker.TooManyFailures}) },
		"keyed breaker, end":      func() { keyed.Ended(ctx, breaker.Info{Key: "eu"}) },
		"keyed breaker, rejected": func() { keyed.Rejected(ctx, breaker.Info{Key: "eu", Reason: breaker.Probing}) },
	} {
		if n := testing.AllocsPerRun(1000, event); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
