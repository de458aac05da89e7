package retry_test

import (
	"context"
	"errors"
	"testing"

	"github.com/concord-go/concord/retry"
)

// What docs/migration.md shows as the new code.

var errRefused = errors.New("refused")

func afterBackoff(ctx context.Context, payments *retry.Retrier, charge func(ctx context.Context, key string) (string, error)) (string, error) {
	return retry.Do(ctx, payments, func(ctx context.Context, a retry.Attempt) (string, error) {
		r, err := charge(ctx, a.Key())
		if errors.Is(err, errRefused) {
			return r, retry.Permanent(err)
		}
		return r, err
	})
}

func TestMigratedCode(t *testing.T) {
	payments := newRetrier(t, &retry.Options{MaxAttempts: 5, Backoff: retry.Constant(0)})
	errDown := errors.New("down")
	for _, c := range []struct {
		failures []error
		made     int
		want     error
	}{
		{nil, 1, nil},
		{[]error{errDown, errDown}, 3, nil},
		{[]error{errDown, errRefused}, 2, errRefused},
		{[]error{errDown, errDown, errDown, errDown, errDown}, 5, errDown},
	} {
		made, keys := 0, map[string]bool{}
		receipt, err := afterBackoff(t.Context(), payments, func(_ context.Context, key string) (string, error) {
			made++
			keys[key] = true
			if made <= len(c.failures) {
				return "", c.failures[made-1]
			}
			return "receipt", nil
		})
		if !errors.Is(err, c.want) || (err == nil) != (receipt == "receipt") || made != c.made || len(keys) != 1 {
			t.Errorf("after %v: %q, %v, %d attempts with %d keys", c.failures, receipt, err, made, len(keys))
		}
	}
}
