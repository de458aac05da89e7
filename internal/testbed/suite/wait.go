package suite

import (
	"context"
	"testing"
	"time"
)

// Eventually bounds the wait for what must happen, but has no promised time.
const Eventually = time.Minute

// Ends has something close with the test, which it must do in good order.
func Ends(t testing.TB, end func(context.Context) error) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), Eventually)
		defer cancel()
		if err := end(ctx); err != nil {
			t.Error(err)
		}
	})
}

// Soon returns a context that ends with the test, or with the wait for what must happen.
func Soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), Eventually)
	t.Cleanup(cancel)
	return ctx
}

// Wait returns when done reports true.
func Wait(t testing.TB, what string, done func() bool) {
	t.Helper()
	for give := time.Now().Add(Eventually); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(give) {
			t.Fatalf("did not happen within %v: %s", Eventually, what)
		}
	}
}

// Must ends the test if err is not nil.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
