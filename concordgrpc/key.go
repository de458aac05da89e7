package concordgrpc

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"google.golang.org/grpc/metadata"
)

// ErrNoKey is what a [KeyFunc] returns for a call that has no key: nobody said who makes it.
var ErrNoKey = errors.New("call has no key")

// KeyFunc tells who makes a call: calls with equal keys are counted together. A key has 1 to
// [ratelimit.MaxKey] bytes of any value; a longer one is refused as malformed, and never cut. The error
// is [ErrNoKey] if the call has none, and any other if it has one that is not as it must be.
//
// It runs for everybody who can reach the server, and must be quick.
type KeyFunc func(ctx context.Context, method string) (string, error)

// ByMetadata takes the value of a metadata key as the key. It must stand once: of two, neither is better.
//
// Anybody can send any value, and has a limit of its own for each: use it for keys that something
// before the limit checks.
func ByMetadata(name string) KeyFunc {
	return func(ctx context.Context, _ string) (string, error) {
		values := metadata.ValueFromIncomingContext(ctx, name)
		switch {
		case len(values) == 0 || len(values) == 1 && values[0] == "":
			return "", ErrNoKey
		case len(values) > 1:
			return "", &InvalidError{Field: name, Problem: "must stand once"}
		}
		return values[0], nil
	}
}

// ByPrincipal takes what principal returns as the key, which is who the call was found to come from by
// an authentication before the limit. "" is nobody.
func ByPrincipal(principal func(context.Context) string) KeyFunc {
	return func(ctx context.Context, _ string) (string, error) {
		if key := principal(ctx); key != "" {
			return key, nil
		}
		return "", ErrNoKey
	}
}

// ByMethod takes the method that is called, such as "/shop.Orders/Pay", as the key.
func ByMethod() KeyFunc {
	return func(_ context.Context, method string) (string, error) { return method, nil }
}

// Keys takes all of the keys together, such as a tenant and a method. No two lists of keys make the
// same one, whatever is in them. The first error counts.
func Keys(by ...KeyFunc) KeyFunc {
	return func(ctx context.Context, method string) (string, error) {
		if len(by) == 0 {
			return "", ErrNoKey
		}
		var all strings.Builder
		for _, one := range by {
			key, err := one(ctx, method)
			if err != nil {
				return "", err
			}
			all.WriteString(strconv.Itoa(len(key)) + ":" + key)
		}
		return all.String(), nil
	}
}
