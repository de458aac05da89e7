package check_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/concord-go/concord/backend/check"
)

// What a backend does in its Check, and what a program sees of it.
func Example() {
	r := check.Report{Backend: "enginebackend", Prefix: "shop"}
	r.Add(check.LevelOK, "version", "Engine %s", "1.2")
	r.Add(check.LevelError, "eviction", "claims are dropped when memory is short")
	fmt.Print(r)

	err := r.Verdict(context.Background(), slog.Default(), false)
	var failed *check.Error
	fmt.Println(errors.As(err, &failed), err)
	// Output:
	// enginebackend: prefix "shop"
	//   ok       version      Engine 1.2
	//   error    eviction     claims are dropped when memory is short
	// true enginebackend: check: eviction: claims are dropped when memory is short
}
